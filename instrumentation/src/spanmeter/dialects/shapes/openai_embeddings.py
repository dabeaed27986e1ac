"""OpenAI embeddings: https://platform.openai.com/docs/api-reference/embeddings/create."""

from typing import Any

from spanmeter.dialects.shapes.request import Request


class EmbeddingsRequest(Request, gc=False):
    """The parameters of the API."""

    encoding_format: Any = None
    dimensions: Any = None
    service_tier: Any = None
