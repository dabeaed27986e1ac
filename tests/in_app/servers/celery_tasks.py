"""Tasks that tell what they belong to, for a worker process: its folder is in SHARED_FOLDER."""

import os
from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.exceptions import Reject
from tests.in_app.servers.telling import told

import spanmeter
from spanmeter.celery import instrument_celery

FOLDER = os.environ.get("SHARED_FOLDER", "")

app = Celery("spanmeter-tests", set_as_current=False)
app.conf.update(
    broker_url="filesystem://" if FOLDER else "memory://",
    broker_transport_options={
        "data_folder_in": f"{FOLDER}/messages",
        "data_folder_out": f"{FOLDER}/messages",
        "control_folder": f"{FOLDER}/control",
    },
    result_backend=f"file://{FOLDER}/results" if FOLDER else "cache+memory://",
    broker_connection_retry_on_startup=False,
    task_retry_jitter=False,
)
_held: list[Iterator[None]] = []


@app.task
def tell(*_: Any) -> list[Any]:
    """Return what this task belongs to."""
    return told()


@app.task
def pass_on(before: list[Any]) -> list[Any]:
    """Return what the task before and this one belong to."""
    return [before, told()]


@app.task(bind=True, max_retries=2)
def tell_at_last(self: Any) -> list[Any]:
    """Fail within a block of its own, and tell when tried for the last time."""
    if self.request.retries < 2:
        with spanmeter.feature("trying"), spanmeter.tags(attempt=self.request.retries):
            raise self.retry(countdown=0)
    return told()


@app.task
def send_one() -> str:
    """Send a task from within a block of its own; return the id of that one."""
    with spanmeter.task("inner"):
        return str(tell.delay().id)


@app.task
def leave_a_block_open() -> None:
    """Hold a generator that has entered a feature and was not read to its end."""
    _held.append(_in_a_block())
    next(_held[-1])


def _in_a_block() -> Iterator[None]:
    with spanmeter.feature("forgotten"):
        yield


@app.task
def fail(kind: str) -> None:
    """End by an error, or refuse to be run."""
    raise Reject("not now", requeue=False) if kind == "reject" else LookupError(kind)


instrument_celery()
