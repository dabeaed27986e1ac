"""`spanmeter-instrument python app.py`: attribution for an application that does not know of it.

The command puts a folder before PYTHONPATH and becomes the application. Python's `site` module
then finds our `sitecustomize` there (https://docs.python.org/3/library/site.html), which does
what the environment says; so it is in every Python that the application starts. One that is told
to take no notice of PYTHONPATH (`python -I`, `-E`, `-S`) is not reached.
"""

import argparse
import os
import sys
from pathlib import Path

from spanmeter import settings

FOLDER = str(Path(__file__).with_name("at_start"))


def main() -> None:
    """Run a command as this process; ends with 127 or 126 as a shell does when it cannot."""
    asked = _parser().parse_args()
    if not any(map(os.environ.get, settings.DESCRIBED)):
        _say("SPANMETER_GATEWAY is not set: no call is attributed")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([FOLDER, before] if before else [FOLDER])
    try:
        os.execvp(asked.command, [asked.command, *asked.arguments])
    except OSError as error:
        _say(f"{asked.command}: {error.strerror}")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _say(line: str) -> None:
    sys.stderr.write(f"spanmeter-instrument: {line}\n")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, settings.DESCRIBED)) + 2
    parser = argparse.ArgumentParser(
        prog="spanmeter-instrument",
        description="Run a Python application with its LLM calls attributed.",
        usage="%(prog)s command [argument ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="environment variables:\n"
        + "\n".join(f"  {name:{width}}{what}" for name, what in settings.DESCRIBED.items()),
    )
    parser.add_argument("command", help="what to run, as: python app.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    return parser


if __name__ == "__main__":
    main()
