"""Do what the environment says: the start of an application that knows nothing of attribution."""

import logging
import os

from spanmeter.errors import SpanmeterError
from spanmeter.instrumenting import instrument
from spanmeter.observing import guarded
from spanmeter.settings import Settings, read

_logger = logging.getLogger("spanmeter")


def start() -> None:
    """Call `instrument` with what the environment variables of `spanmeter.settings` say, if any.

    Nothing that is wrong stops the application: it is logged, a line each.
    """
    guarded(_start)


def _start() -> None:
    said, problems = read(os.environ)
    for problem in problems:
        _logger.warning("%s", problem)
    if not (said.gateway or said.services or said.direct):
        if said != Settings():
            _logger.warning("No call is attributed: SPANMETER_GATEWAY says no address")
        return
    try:
        instrument(
            said.gateway,
            services=said.services,
            feature=said.feature,
            task=said.task,
            tags=said.tags,
            direct=said.direct,
            baggage=said.baggage,
        )
    except SpanmeterError as error:
        _logger.warning("No call is attributed: %s", error)
