"""The metrics of the GenAI conventions and their buckets. Plain values, whoever counts them.

GENAI is the pages that `semconv` cites; `v1.41` is the generation before.
"""

from spanmeter.metric import Metric, Semconv, label
from spanmeter.semconv import (
    ERROR_TYPE,
    FEATURE,
    OPERATION,
    PROVIDER,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
    TOKEN_MODALITY,
    TOKEN_TYPE,
    UNKNOWN_MODALITY,
)

# GENAI gen-ai-metrics.md, and two more: long reasoning calls last beyond its 82 s.
GENAI_SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68,
)  # fmt: skip
# GENAI gen-ai-token-metrics.md: powers of 4.
GENAI_TOKENS = tuple(float(4**power) for power in range(14))
NANOS = 1_000_000_000

# GENAI gen-ai-metrics.md: the attributes of every client metric, and our feature.
_GENAI = (
    OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT, FEATURE,
)  # fmt: skip


_LATEST: tuple[Semconv, ...] = ("latest", "both")
_V1_41: tuple[Semconv, ...] = ("v1_41", "both")


def _source(page: str, semconv: tuple[Semconv, ...]) -> str:
    return "v1.41 gen-ai-metrics.md" if semconv == _V1_41 else f"GENAI {page}"


def _genai_seconds(
    name: str, description: str, *attributes: str, semconv: tuple[Semconv, ...] = _LATEST,
    switch: str | None = None,
) -> Metric:  # fmt: skip
    return Metric(
        name, label(name) + "_seconds", "histogram", "s", description,
        attributes=_GENAI + attributes, tagged=True, per_unit=NANOS, buckets=GENAI_SECONDS,
        has_exemplars=switch is None,  # Counted by the relay, in buckets: no trace is left.
        semconv=semconv, source=_source("gen-ai-metrics.md", semconv), switch=switch,
    )  # fmt: skip


def _genai_tokens(
    name: str, description: str, attribute: str, *, semconv: tuple[Semconv, ...] = _LATEST
) -> Metric:
    return Metric(
        name, label(name), "histogram", "{token}", description,
        attributes=(*_GENAI, attribute), tagged=True, buckets=GENAI_TOKENS,
        has_exemplars=True, semconv=semconv, source=_source("gen-ai-token-metrics.md", semconv),
    )  # fmt: skip


def _genai_usage(kind: str, description: str) -> Metric:
    name = f"gen_ai.client.inference.usage.{kind}"
    return Metric(
        name, label(name) + "_total", "counter", "{token}", description,
        attributes=(*_GENAI, TOKEN_MODALITY), tagged=True, semconv=_LATEST,
        source="GENAI gen-ai-token-metrics.md",
    )  # fmt: skip


# GENAI gen-ai-metrics.md: one point an attempt, its value is the CLIENT span's duration.
INFERENCE_DURATION = _genai_seconds(
    "gen_ai.client.inference.duration", "Duration of one attempt at an inference.", ERROR_TYPE
)
TIME_TO_FIRST = _genai_seconds(
    "gen_ai.client.inference.time_to_first_chunk",
    "Time from issuing a streamed request to its first chunk.",
)
TIME_PER_CHUNK = _genai_seconds(
    "gen_ai.client.inference.time_per_output_chunk", "Time between two chunks of a stream.",
    switch="metrics.time_per_output_chunk",
)  # fmt: skip
# Of embeddings only, unless the generation of v1.41 is printed, where it is that of all operations.
OPERATION_DURATION = _genai_seconds(
    "gen_ai.client.operation.duration",
    "Duration of one attempt at embeddings, or by v1.41 at any operation.",
    ERROR_TYPE, semconv=("latest", "v1_41", "both"),
)  # fmt: skip
# GENAI of v1.41, gen-ai-metrics.md: what consumers of that generation know.
OPERATION_TIME_TO_FIRST = _genai_seconds(
    "gen_ai.client.operation.time_to_first_chunk",
    "Time from issuing a streamed request to its first chunk.", semconv=_V1_41,
)  # fmt: skip
TOKEN_USAGE = _genai_tokens(
    "gen_ai.client.token.usage", "Input and output tokens of one operation.", TOKEN_TYPE,
    semconv=_V1_41,
)  # fmt: skip
# GENAI gen-ai-token-metrics.md: counters for totals, histograms for percentiles.
INPUT_TOKENS = _genai_usage("input_tokens", "Input tokens, cached ones included.")
OUTPUT_TOKENS = _genai_usage("output_tokens", "Output tokens, reasoning included.")
CACHE_READ_TOKENS = _genai_usage("cache_read.input_tokens", "Input tokens served from a cache.")
CACHE_WRITE_TOKENS = _genai_usage("cache_write.input_tokens", "Input tokens written to a cache.")
REASONING_TOKENS = _genai_usage("reasoning.output_tokens", "Output tokens spent on reasoning.")
OPERATION_INPUT = _genai_tokens(
    "gen_ai.client.inference.operation.input_tokens", "Input tokens of one inference.", ERROR_TYPE
)
OPERATION_OUTPUT = _genai_tokens(
    "gen_ai.client.inference.operation.output_tokens", "Output tokens of one inference.",
    ERROR_TYPE,
)  # fmt: skip

GENAI_METRICS = (
    INFERENCE_DURATION, TIME_TO_FIRST, TIME_PER_CHUNK, OPERATION_DURATION,
    INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS,
    OPERATION_INPUT, OPERATION_OUTPUT, OPERATION_TIME_TO_FIRST, TOKEN_USAGE,
)  # fmt: skip
"""In the order in which they are printed."""


def by_modality(
    total: int, split: tuple[int | None, int | None, int | None]
) -> list[tuple[str, int]]:
    """Split a total by modality: the text, image and audio that a provider named, else `unknown`.

    The modalities always add up to the total; a split that exceeds it is not believed.
    """
    named = [(name, part) for name, part in zip(_MODALITIES, split, strict=True) if part]
    rest = total - sum(part for _, part in named)
    if rest < 0:
        return [(UNKNOWN_MODALITY, total)] if total else []
    return [*named, (UNKNOWN_MODALITY, rest)] if rest else named


_MODALITIES = ("text", "image", "audio")
