"""The page about metrics, written from `names` so that it cannot be wrong about them.

`python -m spanmeter_gateway.telemetry.documentation > docs/metrics.md`; a test holds them equal.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import get_args

from spanmeter_gateway.telemetry import names

_INTRODUCTION = """\
# Metrics

Written by `python -m spanmeter_gateway.telemetry.documentation`; edit that file, not this page.

The books serve `/metrics` (by default `http://127.0.0.1:9464/metrics`) as Prometheus text or as
OpenMetrics, whichever is asked for.

- A label's name is the OpenTelemetry attribute's with `_` for every other character, so
  `spanmeter.feature` is `spanmeter_feature`. Values are as sent, cut at 100 characters. A label
  without a value is empty.
- **tags**: the metric also has a label for each key in `tags.labels` (`spanmeter_tag_env`,
  `spanmeter_tag_team`, ...), with the first value that the call has for that key.
- Every counter survives restarts of the books. A new series stands at 0 until it was scraped once,
  at most 60 s, so that `increase()` sees its first event. `/metrics?peek=true` is no scrape: look
  by hand with it. Up to 8 scrapers, by address and user agent, each see the 0 once.
- A metric appears with its first event, those of OTLP where an endpoint is set; what
  [operations.md](operations.md#health-metrics) alerts on as a loss stands at 0 from the start.
- The same series go out over [OTLP](configuration.md#otlp) where an endpoint is set, under their
  OpenTelemetry names. An empty label is left out there, and a new series stands at 0 in the first
  export that was accepted.
- Provider and model are those of the upstream that was asked. Only a call that reached no upstream
  carries the model that its caller named.
- `spanmeter_feature` is `untagged` where a call names none.
- **exemplars**: each series, of a histogram each bucket, keeps the trace id and span id of the last
  sampled call, and prints them in OpenMetrics (Prometheus stores them with
  `--enable-feature=exemplar-storage`). Metrics of calls and HTTP name the SERVER span, those of
  attempts the CLIENT span. `OTEL_METRICS_EXEMPLAR_FILTER` widens or ends that; they are not saved.
- **source**: `GENAI` is open-telemetry/semantic-conventions-genai (docs/gen-ai), `v1.41` the
  generation before it, `HTTP` open-telemetry/semantic-conventions (docs/http).
- `semconv` and `metrics` in [configuration.md](configuration.md) say what is printed. A metric that
  is off has no series and costs nothing; what it counted before is kept, and it goes on from there.
- A key that leaves `tags.labels` takes its label with it: the saved series are added up into those
  without it, so no sum shrinks, and a key that comes later starts at 0 beside them.
"""
_SECTIONS = {
    "Calls": "Each call is counted once, however it ended.",
    "OpenTelemetry GenAI": (
        "One point for each attempt at an upstream, by the GenAI semantic conventions; use the "
        "metrics above for alerts and cost. The token counters of a failed inference begin at 0, "
        "its histograms observe only what a provider reported. A chunk, for "
        "`gen_ai.client.inference.time_per_output_chunk`, is what one read of the answer brought."
    ),
    "OpenTelemetry HTTP": (
        "One point for each request to `listen` that is metered, passed through or refused, by "
        "the HTTP semantic conventions; none for `/healthz` and `/readyz`."
    ),
    "Health": "The gateway about itself; [operations.md](operations.md) says what to do.",
}
_MEANING_BY_LABEL = {
    names.FEATURE: "what the call is for",
    names.TASK: "the step inside the feature",
    names.PROVIDER: "who bills, by its OpenTelemetry name: `openai`, `anthropic`, `gcp.gemini`",
    names.REQUEST_MODEL: "the model sent upstream",
    names.RESPONSE_MODEL: "the model that the answer names",
    names.OPERATION: "`chat`, `text_completion`, `generate_content`, `embeddings`",
    names.OUTCOME: (
        "`ok`, `caller_error`, `policy_denied`, `provider_error`, `gateway_error`, `cancelled`"
    ),
    names.ERROR_TYPE: "see [errors.md](errors.md); empty where nothing went wrong",
    names.TOKEN_CLASS: (
        "`input` (uncached), `cache_read`, `cache_write`, `output` (visible), `reasoning`; of cost "
        "also `total`, where there is one sum only or a fee for the call"
    ),
    names.COST_SOURCE: "`local`: by a price list; `provider`: the provider's own figure",
    names.TOKEN_TYPE: "`input`, `output`: the totals",
    names.LABEL: f"a label's name; `{names.ALL_SERIES}`: for want of room in all series together",
    names.PAIR: "below",
    names.HTTP_METHOD: "the request method; `_OTHER` for one that HTTP does not know",
    names.HTTP_ROUTE: "the path with variable parts named",
    names.HTTP_STATUS: "what the caller got; empty where the caller left before that",
    names.URL_SCHEME: "`http` or `https`",
    names.PROTOCOL_VERSION: "of HTTP",
    names.TOKEN_MODALITY: "`text`, `image`, `audio`; `unknown` where the provider gives no split",
    names.SERVER_ADDRESS: "the upstream's host",
    names.SERVER_PORT: "the upstream's port",
    names.REASON: "below",
    names.RESULT: "below",
    names.VERSION: "of `spanmeter-gateway`",
}
_VALUES = {
    names.UNPRICED: {
        "unknown_provider": "not on the price list",
        "unknown_model": "not on the price list; add a row to `prices`",
        "unknown_tier": "a service tier without a known price",
        "no_token_price": "not sold by the token",
        "incomplete_usage": "input or output unknown",
        "billing_failed": "the gateway's own fault; its log names the cause",
    },
    names.UNMETERED: {
        "not_reported": "the provider sent no usage",
        "unreadable": "not in the dialect's shape, or in an unknown coding",
        "too_large": "beyond the bounds of what is read",
        "cancelled": "the caller left before the usage came",
        "interrupted": "the answer was cut",
    },
    names.TAG_VIOLATIONS: {
        "malformed": "dropped: not `key:value` of the grammar",
        "too_long": "dropped: key or value over 64 characters",
        "too_many": "dropped: over 10 tags",
        "wrong_type": "dropped: not a string, or not an array of them",
        "normalised": "kept, altered: another gateway's tag",
        "feature_too_long": "kept: cut to 100 characters as a label only",
    },
    names.RECEIPTS_DROPPED: {
        "spool_full": "the spool holds `spool.max_bytes`",
        "spool_error": "the disk refused",
        "spool_backlog": "the disk is slower than the calls",
        "entry_failed": "the books' own fault; their log names the cause",
        "segment_lost": "written, but its segment is broken or gone",
    },
    names.CONNECTIONS_REFUSED: {
        "max_connections": "over `limits.max_connections` and the tenth that is answered 503",
        "per_address": "over `limits.connections_per_address`",
        "slow": "a head or a body did not come in time: `limits.head_s`, `limits.body_s`",
        "malformed": "answered 400, 405, 431, 501 or 505 outside any call",
    },
    names.SEGMENTS: {
        "entered": "read whole",
        "parked": "of a newer format, kept in `spool/parked`",
        "quarantined": "broken, kept in `spool/quarantine`",
    },
    names.SPANS: {
        "sent": "taken by the backend",
        "dropped": "the queue was full",
        "failed": "refused, not taken for 5 minutes, or the books' own fault",
    },
    names.METRIC_EXPORTS: {
        "sent": "taken by the backend",
        "failed": "refused, or not taken in time; the next export has it too",
    },
    names.RECONCILIATION: {
        "written_entered": "receipts that the relays wrote, less those that were entered",
        "receipts_calls": "receipts entered, less calls and passed-through requests counted",
        "receipts_spans": "spans of the receipts since the books' start, less those sent or queued",
    },
}


def page() -> str:
    """Write the page."""
    return "\n".join([_INTRODUCTION, *_sections(), *_labels(), *_values()])


def _sections() -> Iterator[str]:
    for title, sentence in _SECTIONS.items():
        yield f"## {title}\n\n{sentence}\n"
        rows = (_row(metric) for metric in names.METRICS if _section(metric) == title)
        yield _table(("metric", "kind, unit", "meaning", "labels", "printed", "source"), rows)


def _section(metric: names.Metric) -> str:
    for prefix, title in (("gen_ai.", "OpenTelemetry GenAI"), ("http.", "OpenTelemetry HTTP")):
        if metric.name.startswith(prefix):
            return title
    return "Calls" if names.FEATURE in metric.attributes else "Health"


def _row(metric: names.Metric) -> tuple[str, ...]:
    labels = [f"`{names.label(attribute)}`" for attribute in metric.attributes]
    labels += ["tags"] if metric.tagged else []
    unit = metric.unit.strip("{}")
    exemplars = "exemplars" if metric.has_exemplars else ""
    kind = ", ".join(filter(None, [metric.kind, unit, exemplars]))
    name = f"`{metric.prometheus_name}`"
    return name, kind, metric.description, ", ".join(labels), _printed(metric), metric.source


def _printed(metric: names.Metric) -> str:
    if metric.switch is not None:
        return f"`{metric.switch}: true`"
    if metric.semconv == get_args(names.Semconv):
        return "always"
    return "`semconv: " + "` or `".join(metric.semconv) + "`"


def _labels() -> Iterator[str]:
    used = dict.fromkeys(name for metric in names.METRICS for name in metric.attributes)
    yield "## Labels\n"
    yield _table(
        ("label", "attribute", "values"),
        ((f"`{names.label(name)}`", f"`{name}`", _MEANING_BY_LABEL[name]) for name in used),
    )


def _values() -> Iterator[str]:
    yield "## Reasons and results\n"
    yield _table(
        ("metric", "value", "meaning"),
        (
            (f"`{metric.prometheus_name}`", f"`{value}`", meaning)
            for metric, meaning_by_value in _VALUES.items()
            for value, meaning in meaning_by_value.items()
        ),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
