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
    text = environ.get(_VARIABLE, "").strip()
    wanted = _FILTERS.get(text.lower())
    if wanted is None and text:
        _log.warning("%s is none of %s: %s", _VARIABLE, ", ".join(_FILTERS), text)
    return wanted or DEFAULT_SETTINGS.exemplar_filter
