"""What every JSON dialect's request has, or may have, as it is on the wire."""

from typing import Any

import msgspec
from msgspec import UNSET


class Request(msgspec.Struct, gc=False):
    """The members that every JSON dialect has, or may have."""

    model: Any = None
    stream: Any = None
    stream_options: Any = UNSET
    tags: Any = UNSET
