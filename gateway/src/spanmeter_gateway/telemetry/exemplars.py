"""Which calls become exemplars: the standard variable, read once."""

import logging
from collections.abc import Mapping
from typing import get_args

from spanmeter_gateway.telemetry.metric import DEFAULT_SETTINGS, ExemplarFilter

_VARIABLE = "OTEL_METRICS_EXEMPLAR_FILTER"
_FILTERS: dict[str, ExemplarFilter] = {name: name for name in get_args(ExemplarFilter)}

_log = logging.getLogger(__name__)


def exemplar_filter_from_env(environ: Mapping[str, str]) -> ExemplarFilter:
    """Read the filter; a value that is not known is warned about and does not count.

    Source: OpenTelemetry specification, configuration/sdk-environment-variables.md, "Enum".
    """
    ignored = ignored_filter(environ)
    if ignored is not None:
        _log.warning(ignored)
    return _FILTERS.get(_wanted(environ).lower(), DEFAULT_SETTINGS.exemplar_filter)


def ignored_filter(environ: Mapping[str, str]) -> str | None:
    """Say so where the variable holds a value that is not known."""
    text = _wanted(environ)
    if not text or text.lower() in _FILTERS:
        return None
    return f"{_VARIABLE} is none of {', '.join(_FILTERS)}: {text}"


def _wanted(environ: Mapping[str, str]) -> str:
    return environ.get(_VARIABLE, "").strip()
