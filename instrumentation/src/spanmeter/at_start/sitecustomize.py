"""Runs at the start of every Python behind `spanmeter-instrument`; alone in its folder for that.

Python imports only the first `sitecustomize` on its path, so this one runs the next one too.
"""

import importlib.machinery
import importlib.util
import os
import sys


def run_next() -> None:
    """Run the `sitecustomize` that this one stands before, if there is one, and become it."""
    here = os.path.dirname(os.path.realpath(__file__))
    others = [place for place in sys.path if os.path.realpath(place) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def start() -> None:
    """Attribute the calls of this process, if its Python has spanmeter."""
    try:
        from spanmeter import from_environment  # noqa: PLC0415 - any Python may run this
    except ImportError:
        sys.stderr.write(f"No call is attributed: {sys.executable} has no package spanmeter.\n")
    else:
        from_environment.start()


if __name__ == "sitecustomize":
    try:
        run_next()
    finally:  # whatever the next one does, as `site` reports it
        start()
