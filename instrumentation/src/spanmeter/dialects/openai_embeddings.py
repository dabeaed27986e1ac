"""OpenAI embeddings: https://platform.openai.com/docs/api-reference/embeddings/create."""

import msgspec

from spanmeter.dialects.answer import opener
from spanmeter.dialects.dialect import Dialect, ResponseFacts
from spanmeter.dialects.json_values import integer, word
from spanmeter.dialects.openai_chat import OpenAIReading
from spanmeter.dialects.provider_error import OPENAI_KEYS
from spanmeter.dialects.request import ParameterTable, describer
from spanmeter.dialects.shapes.openai_embeddings import EmbeddingsRequest

PARAMETERS = ParameterTable(
    ("encoding_format", "encoding_format", word),
    ("dimension_count", "dimensions", integer),
    ("service_tier", "service_tier", word),
)


class EmbeddingsReading(OpenAIReading):
    """No choices, so no reasons; Mistral's `completion_tokens: 0` counts nothing."""

    def facts(self) -> ResponseFacts:
        """Say what is known so far."""
        facts = super().facts()
        usage = facts.usage
        if usage is not None:
            usage = msgspec.structs.replace(usage, output_tokens=None)
        return msgspec.structs.replace(facts, usage=usage, finish_reasons=None)


OPENAI_EMBEDDINGS = Dialect(
    name="openai_embeddings",
    family="openai",
    operation="embeddings",
    describe=describer(EmbeddingsRequest, PARAMETERS),
    tally=opener(EmbeddingsReading, OPENAI_KEYS),
    route="/v1/embeddings",
)
