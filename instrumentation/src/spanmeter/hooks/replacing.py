"""Methods of other libraries' classes, replaced once and given back."""

from collections.abc import Callable
from typing import Any

Method = Callable[..., Any]

_replaced: dict[tuple[type, str], tuple[Method, Method]] = {}
"""What was there, and what stands there now."""


def replace(owner: type, name: str, wrap: Callable[[Method], Method]) -> None:
    """Put `wrap(method)` in a method's place, unless that was done before."""
    if (owner, name) not in _replaced:
        method = vars(owner)[name]
        _replaced[owner, name] = method, wrap(method)
        setattr(owner, name, _replaced[owner, name][1])


def restore(owner: type, name: str) -> None:
    """Give a method back; one that somebody wrapped since stays, and its hook has nothing to do."""
    method, ours = _replaced.get((owner, name), (None, None))
    if ours is not None and vars(owner)[name] is ours:
        setattr(owner, name, method)
        del _replaced[owner, name]


def bound(method: Method, instance: object) -> Method:
    """Bind a method as an attribute would: what others wrapped around it wants to be bound."""
    it: Method = method.__get__(instance)
    return it
