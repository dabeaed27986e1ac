"""Celery: a task belongs to the feature, the task and the tags of the code that sent it.

They travel as W3C baggage in the message's headers, so that workers in other services and
languages can read them.
"""

from typing import Any

from celery import signals

from spanmeter.baggage import names_us
from spanmeter.context import serving
from spanmeter.propagation import inject, received


def instrument_celery() -> None:
    """Let attribution travel along with tasks; call it where tasks are sent and in the worker.

    After OpenTelemetry's `CeleryInstrumentor`, where there is one: that one overwrites baggage,
    this one adds to it. Calling it again changes nothing.
    """
    signals.before_task_publish.connect(_sending, weak=False)
    signals.task_prerun.connect(_beginning, weak=False)
    signals.task_postrun.connect(_ended, weak=False)


def uninstrument_celery() -> None:
    """Undo `instrument_celery`."""
    signals.before_task_publish.disconnect(_sending)
    signals.task_prerun.disconnect(_beginning)
    signals.task_postrun.disconnect(_ended)


def _sending(headers: dict[str, Any], **_: Any) -> None:
    # A retry is sent with the headers of the first try, from wherever in the task it failed.
    if not names_us(str(headers.get("baggage", "")).encode()):
        inject(headers)


def _beginning(task: Any, **_: Any) -> None:
    # An eager task has no such header, and goes on with what its caller belongs to.
    baggage = (task.request.headers or {}).get("baggage")
    scope = serving([received({"baggage": baggage})] if isinstance(baggage, str) else [])
    scope.__enter__()
    task.request.spanmeter_scope = scope


def _ended(task: Any, **_: Any) -> None:
    scope = getattr(task.request, "spanmeter_scope", None)
    if scope is not None:
        scope.__exit__(None, None, None)
