"""A supervisor with stand-ins: the configuration and the relay's script are its arguments."""

import logging
import sys
from pathlib import Path

from spanmeter_gateway.config import Config
from spanmeter_gateway.errors import StartError
from spanmeter_gateway.supervisor import Commands, serve

logging.basicConfig(format="%(message)s")
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
