"""The built-in catalogue: the models of the seed document, and OpenAI's beside them, at their prices."""

from __future__ import annotations

from minitoolai.core.catalog import ChatModel, EmbeddingModel, PictureModel, SpeechModel, TranscriptionModel
from minitoolai.core.money import parse_usd
from minitoolai.core.pricing import TokenPrices


def _seed_model(name: str, input_usd: str, output_usd: str, context: int, longest: int, dated: str) -> ChatModel:
    prices = TokenPrices(parse_usd(input_usd), parse_usd(output_usd))
    return ChatModel(name, prices, context, longest, aliases=(f"{name}-{dated}",), o200k=True, vision=True, image_rule=name)


#: The chat models of the seed document with its prices; context and longest answer as OpenAI documents them
#: (https://platform.openai.com/docs/models).
SEED_CHAT_MODELS: tuple[ChatModel, ...] = (
    _seed_model("gpt-4o-mini", "0.15", "0.60", 128_000, 16_384, "2024-07-18"),
    _seed_model("gpt-4o", "2.50", "10.00", 128_000, 16_384, "2024-08-06"),
    _seed_model("gpt-4.1", "2.00", "8.00", 1_047_576, 32_768, "2025-04-14"),
    _seed_model("gpt-4.1-mini", "0.40", "1.60", 1_047_576, 32_768, "2025-04-14"),
    _seed_model("gpt-4.1-nano", "0.10", "0.40", 1_047_576, 32_768, "2025-04-14"),
)


def _embedding_model(name: str, input_usd: str, dimensions: int) -> EmbeddingModel:
    return EmbeddingModel(name, TokenPrices(parse_usd(input_usd), 0), 8192, dimensions=dimensions, cl100k=True)


#: OpenAI's embedding models at its own prices, with the longest text and the dimensions that it documents
#: (https://platform.openai.com/docs/models/text-embedding-3-small, https://platform.openai.com/docs/guides/embeddings).
EMBEDDING_MODELS: tuple[EmbeddingModel, ...] = (
    _embedding_model("text-embedding-3-small", "0.02", 1536),
    _embedding_model("text-embedding-3-large", "0.13", 3072),
)

#: What a picture of any model of the seed costs.
SEED_IMAGE_NUSD = parse_usd("0.0015")

#: The picture models of the seed document with its price.
SEED_PICTURE_MODELS: tuple[PictureModel, ...] = tuple(
    PictureModel(name, SEED_IMAGE_NUSD)
    for name in (
        "realvision", "juggernaut", "autismmix", "dreamshaper", "valhalla", "mixrealistic", "campursari", "reality",
        "extrarealistic", "realism", "realgirls", "realityreborn", "amigo", "simplemix", "beautifulrealistic",
    )
)  # fmt: skip

#: espeak-ng, wherever it is installed.
ESPEAK_MODEL = SpeechModel("espeak-ng", parse_usd("1.00"))

#: OpenAI's models that speak, at its own prices (https://platform.openai.com/docs/pricing), and espeak-ng.
SPEECH_MODELS: tuple[SpeechModel, ...] = (
    SpeechModel("tts-1", parse_usd("15.00")),
    SpeechModel("tts-1-hd", parse_usd("30.00")),
    ESPEAK_MODEL,
)

#: OpenAI's models that write down speech. It prices the first by the minute; the others by tokens, of which it estimates
#: a minute so (https://platform.openai.com/docs/pricing#transcription-and-speech).
TRANSCRIPTION_MODELS: tuple[TranscriptionModel, ...] = (
    TranscriptionModel("whisper-1", parse_usd("0.006")),
    TranscriptionModel("gpt-4o-transcribe", parse_usd("0.006")),
    TranscriptionModel("gpt-4o-mini-transcribe", parse_usd("0.003")),
)
