"""Functions of all kinds that run inside a context manager.

A generator runs inside it only while it runs: between two of its values the code that reads them
keeps its own context, and who starts it and who ends it need not be the same task.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
Scope = AbstractContextManager[object]


def decorated(function: Function, scope: Scope) -> Function:
    """Run every call of a function inside `scope`, which must allow to be entered repeatedly."""
    return cast(Function, wraps(function)(_wrapper(function, scope)))


def _wrapper(function: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    import inspect  # noqa: PLC0415 - a quarter of what importing this package costs

    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with scope:
                return await function(*args, **kwargs)

        return call_async
    if inspect.isasyncgenfunction(function):

        def iterate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            return _async_steps(function(*args, **kwargs), scope)

        return iterate_async
    if inspect.isgeneratorfunction(function):

        def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return _steps(function(*args, **kwargs), scope)

        return iterate

    def call(*args: Any, **kwargs: Any) -> Any:
        with scope:
            return function(*args, **kwargs)

    return call


def _steps(inner: Generator[Any, Any, Any], scope: Scope) -> Generator[Any, Any, Any]:
    """Delegate as `yield from` does (PEP 380), each step inside the scope."""
    step: Callable[..., Any] = inner.send
    given: Any = None
    while True:
        try:
            with scope:
                value = step(given)
        except StopIteration as end:
            return end.value
        try:
            step, given = inner.send, (yield value)
        except GeneratorExit:
            with scope:
                inner.close()
            raise
        except BaseException as error:  # noqa: BLE001 - thrown into what is delegated to
            step, given = inner.throw, error


async def _async_steps(inner: AsyncGenerator[Any, Any], scope: Scope) -> AsyncGenerator[Any, Any]:
    step: Callable[..., Any] = inner.asend
    given: Any = None
    while True:
        try:
            with scope:
                value = await step(given)
        except StopAsyncIteration:
            return
        try:
            step, given = inner.asend, (yield value)
        except GeneratorExit:
            with scope:
                await inner.aclose()
            raise
        except BaseException as error:  # noqa: BLE001 - thrown into what is delegated to
            step, given = inner.athrow, error
