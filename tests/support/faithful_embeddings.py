"""OpenAI's embeddings as published (https://platform.openai.com/docs/api-reference/embeddings/create): what it refuses,
and a vector that depends on the text alone for all else."""

from __future__ import annotations

import json
from typing import Any

from minitoolai.core.tokens import count_text
from tests.support.faithful_chat import Refusal
from tests.support.faithful_values import as_base64, vector

#: Dimensions of the embedding models.
EMBEDDING_MODELS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}


def embed(body: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a call; its `usage` is what is billed. Raises `Refusal`."""
    if body.get("model") not in EMBEDDING_MODELS:
        raise Refusal(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
    given = body.get("input")
    if not given:
        raise Refusal(400, "'$.input' is invalid. Please check the API reference.", param="input")
    one = isinstance(given, str) or (isinstance(given, list) and isinstance(given[0], int))
    inputs = [given] if one else given
    most = EMBEDDING_MODELS[body["model"]]
    dimensions = body.get("dimensions") or most
    if not 1 <= dimensions <= most:
        raise Refusal(400, f"'dimensions' must be at most {most}.", param="dimensions")
    vectors = [vector(json.dumps(text), dimensions) for text in inputs]
    coded: list[Any] = [as_base64(found) for found in vectors] if body.get("encoding_format") == "base64" else vectors
    tokens = sum(count_text(text) if isinstance(text, str) else len(text) for text in inputs)
    data = [{"object": "embedding", "index": index, "embedding": found} for index, found in enumerate(coded)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}
