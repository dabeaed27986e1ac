"""Which feature, task and tags the code that runs now belongs to.

`feature`, `task` and `tags` are context managers and decorators. What they say holds for the
block or the call, for all that is called in it and for the tasks that it starts (contextvars),
until something further inside says otherwise. One of them may be entered many times, also by
many threads and tasks at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import wraps
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, cast

from spanmeter import decorating
from spanmeter.baggage import inherited
from spanmeter.grammar import MAX_TAGS, UNTAGGED, Attribution, check_name, check_tag, check_tags

Function = TypeVar("Function", bound=Callable[..., Any])
TagValue = str | int | bool


class _Frame(NamedTuple):
    """One entered block. Leaving goes back to the one around it, so that a block has no state."""

    attribution: Attribution
    outer: "_Frame | None"


_frame: ContextVar[_Frame | None] = ContextVar("spanmeter", default=None)
_default = Attribution()
_believes_baggage = False


class Scope:
    """A block or a function that belongs to a feature or a task, or has tags."""

    def __init__(self, said: Attribution) -> None:
        self._said = said

    def __enter__(self) -> Attribution:
        """Raise `InvalidAttribution` when there are too many tags with those around."""
        attribution = _over(current(), self._said)
        check_tags(attribution.tags)
        return self._push(attribution)

    def _push(self, attribution: Attribution) -> Attribution:
        _frame.set(_Frame(attribution, _frame.get()))
        return attribution

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        frame = _frame.get()
        _frame.set(frame and frame.outer)

    def __call__(self, function: Function) -> Function:
        """Decorate a function, a coroutine function or a generator function, async ones too."""
        return decorating.decorated(function, self)


class Received(Scope):
    """A block that belongs to what another service said: never refused, only cut to the limit."""

    def __enter__(self) -> Attribution:
        return self._push(_cut(_over(current(), self._said)))


def feature(name: str) -> Scope:
    """Attribute a block or a function to a feature; raises `InvalidAttribution`."""
    return Scope(Attribution(feature=check_name("feature", name)))


def task(name: str) -> Scope:
    """Name what a block or a function does for its feature; raises `InvalidAttribution`."""
    return Scope(Attribution(task=check_name("task", name)))


def tags(pairs: Mapping[str, TagValue] | None = None, /, **named: TagValue) -> Scope:
    """Tag a block or a function; of two with one key the inner one counts.

    `pairs` is for keys that are no Python names: `tags({"cost-center": "42"})`. Raises
    `InvalidAttribution`.
    """
    return Scope(Attribution(tags=_checked({**(pairs or {}), **named})))


def current() -> Attribution:
    """Return what a call made here and now is attributed to.

    What the code says counts first, then, where `believe_baggage` asked for it, W3C baggage that
    OpenTelemetry took from the request that is being served, then the default of the process.
    """
    frame = _frame.get()
    if frame is not None:
        return frame.attribution
    said = inherited() if _believes_baggage else None
    return _default if said is None else _cut(_over(_default, said))


def set_default(
    feature: str | None = None,
    *,
    task: str | None = None,
    tags: Mapping[str, TagValue] | None = None,
) -> None:
    """Attribute all that the code says nothing of; raises `InvalidAttribution`."""
    global _default
    _default = Attribution(
        feature=UNTAGGED if feature is None else check_name("feature", feature),
        task=None if task is None else check_name("task", task),
        tags=_checked(tags or {}),
    )


@contextmanager
def serving(scopes: Iterable[Scope]) -> Iterator[None]:
    """Enter scopes for a request or a message, and leave at its end whatever it left entered.

    A generator that was not read to its end may hold a block open: the next request, of the same
    thread perhaps, must not be taken for its own.
    """
    outer = _frame.get()
    for scope in scopes:
        scope.__enter__()
    try:
        yield
    finally:
        _frame.set(outer)


def believe_baggage(*, is_believed: bool) -> None:
    """Say whether OpenTelemetry's current baggage counts; at first it does not.

    OpenTelemetry takes it from any request, and from outside anybody may have written it.
    """
    global _believes_baggage
    _believes_baggage = is_believed


def carrying(function: Function) -> Function:
    """Bind a function to the current context, for a thread pool: those do not take it along.

    `pool.submit(spanmeter.carrying(work), job)`. Each call runs in a copy of the context.
    """
    context = copy_context()

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return context.copy().run(function, *args, **kwargs)

    return cast(Function, run)


def _checked(pairs: Mapping[str, TagValue]) -> tuple[tuple[str, str], ...]:
    return check_tags(check_tag(key, value) for key, value in pairs.items())


def _over(outer: Attribution, inner: Attribution) -> Attribution:
    return Attribution(
        feature=outer.feature if inner.feature == UNTAGGED else inner.feature,
        task=inner.task or outer.task,
        tags=tuple({**dict(outer.tags), **dict(inner.tags)}.items()),
    )


def _cut(attribution: Attribution) -> Attribution:
    return attribution._replace(tags=attribution.tags[:MAX_TAGS])
