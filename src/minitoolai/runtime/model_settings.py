"""The settings of a model: a table of the file under `[models]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Count = Annotated[int, Meta(ge=1)]


class ModelRoute(Struct, frozen=True, forbid_unknown_fields=True):
    """One of `engines` with more than its name."""

    #: Name of the engine.
    name: str
    #: The model's name there; absent: the same.
    upstream: str | None = None
    #: How often it is tried first, relative to the others; 0: it only stands in.
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1


class TierSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[models."NAME".service_tiers.TIER]`: what the provider's tier costs, in USD per million tokens, as text."""

    input_usd_per_1m: str
    output_usd_per_1m: str
    cached_input_usd_per_1m: str | None = None


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[models."NAME"]`: a new model, or what differs from the built-in catalogue."""

    #: What it does; absent: as in the catalogue, else `chat`.
    kind: Literal["chat", "embedding", "image", "speech", "transcription"] | None = None
    #: Name of the engine that serves it.
    engine: str | None = None
    #: In place of `engine`: several, by name or as `{name, upstream, weight}`. With a weight on any the first is drawn by
    #: weight; the next is tried while no byte has reached the caller.
    engines: tuple[str | ModelRoute, ...] = ()
    #: Its name at the engine; absent: the same.
    upstream: str | None = None
    aliases: tuple[str, ...] = ()
    #: What a picture of an image model costs, in USD, as text: "0.0015".
    usd_per_image: str | None = None
    #: What a million characters of text cost at a speech model, in USD, as text: "15.00".
    usd_per_1m_characters: str | None = None
    #: What a minute of sound costs at a transcription model, in USD, as text: "0.006".
    usd_per_minute: str | None = None
    #: Pixels of a square picture's side that an image model of an `onnx` engine draws best: pictures are made near it in
    #: their own aspect ratio and enlarged; absent: they are made as large as they are asked.
    native_size: Annotated[int, Meta(ge=64, le=2048)] | None = None
    #: Sizes that an image model draws, as "1024x1024"; absent: any.
    sizes: tuple[Annotated[str, Meta(pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$")], ...] = ()
    #: Prices in USD per million tokens, as text: "0.15".
    input_usd_per_1m: str | None = None
    output_usd_per_1m: str | None = None
    #: For prompt tokens that the provider had cached; absent: as others.
    cached_input_usd_per_1m: str | None = None
    #: Prices of the provider's service tiers; a call may ask for those named here.
    service_tiers: dict[str, TierSettings] = field(default_factory=dict)
    #: What a call with `web_search_options` costs beside its tokens, in USD, as text; absent: it is refused.
    web_search_usd_per_call: str | None = None
    #: Tokens of prompt and answer together, or of one text that it embeds; tokens of an answer at most.
    context_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    #: Whether it sees pictures; absent: as in the catalogue, else no.
    vision: bool | None = None
    #: Numbers of a vector of an embedding model; absent: as in the catalogue, else whatever the engine gives.
    dimensions: Count | None = None
    #: Tokens that one picture is at most; absent: by OpenAI's rule of a model of the catalogue, else 1445.
    image_tokens: Count | None = None
