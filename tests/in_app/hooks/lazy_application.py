"""Imports spanmeter, then libraries one by one; prints as JSON what was loaded when.

`python -m tests.in_app.hooks.lazy_application <gateway>`
"""

import json
import sys

BEFORE = set(sys.modules)

import spanmeter  # noqa: E402 - the point

AFTER_IMPORT = sorted(
    {name.partition(".")[0] for name in set(sys.modules) - BEFORE} - sys.stdlib_module_names
)
LIBRARIES = ("httpx", "httpx2", "requests", "aiohttp", "opentelemetry", "msgspec")


def loaded() -> list[str]:
    return [name for name in LIBRARIES if name in sys.modules]


def main() -> None:
    gateway = sys.argv[1]
    spanmeter.instrument(gateway)
    after_instrument = loaded()
    finders = len(sys.meta_path)

    from tests.in_app.hooks.clients import CLIENTS  # noqa: PLC0415 - imports all libraries

    statuses = []
    with spanmeter.feature("late"):
        for number, send in enumerate(CLIENTS):
            headers = {"x-script": "fine", "x-replay-key": f"late-{number}"}
            statuses.append(send(f"{gateway}/", headers, None))
    said = {
        "after_import": AFTER_IMPORT,
        "after_instrument": after_instrument,
        "statuses": statuses,
        "finders_gone": finders - len(sys.meta_path),
    }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
