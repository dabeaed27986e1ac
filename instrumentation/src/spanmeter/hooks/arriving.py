"""Libraries that are not imported yet: hooked when the application imports them, if ever."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Act = Callable[[ModuleType], object]

_awaited: dict[str, Act] = {}


def when_imported(name: str, act: Act) -> None:
    """Do something with a module: now if it is imported, else as soon as it is."""
    if sys.modules.get(name) is not None:
        act(import_module(name))  # waits for a thread that is about to import it
        return
    _awaited[name] = act
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def forget(name: str) -> None:
    """Await a module no more."""
    _awaited.pop(name, None)
    if not _awaited and _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


class _Finder(MetaPathFinder):
    """Finds what others find, and has its loader say when it is done (PEP 451)."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _awaited:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_act(module: ModuleType) -> None:
                load(module)
                if (act := _awaited.get(name)) is not None:
                    forget(name)
                    act(module)

            spec.loader.exec_module = load_and_act  # type: ignore[method-assign] # of this loader
        return spec


_FINDER = _Finder()
