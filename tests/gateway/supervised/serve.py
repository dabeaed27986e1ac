"""A supervisor with stand-ins: the configuration, the relay's script and what to log."""

import logging
import sys
from pathlib import Path

from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.supervisor import Commands, serve

logging.basicConfig(format="%(message)s", level=sys.argv[3])
config = Config.from_json(sys.argv[1])
here = Path(__file__).parent
commands = Commands(
    relay=(sys.executable, str(here / sys.argv[2])),
    books=(sys.executable, str(here / "books.py")),
)
try:
    sys.exit(serve(config, on_ready=(config.data_dir / "ready").touch, commands=commands))
except StartError as error:
    sys.exit(str(error))
