"""What is asked of a picture: the seed's fields and their bounds."""

from __future__ import annotations

from msgspec import Struct

#: Characters of a prompt, and of what the picture should not show, at most.
MAX_PROMPT_CHARACTERS = 4000
MIN_STEPS, MAX_STEPS, DEFAULT_STEPS = 1, 8, 4
MIN_CFG_SCALE, MAX_CFG_SCALE, DEFAULT_CFG_SCALE = 1.0, 7.0, 2.0
#: Pixels of a side.
MIN_SIDE, MAX_SIDE, DEFAULT_SIDE = 256, 1344, 1024
MAX_SEED = 2**32 - 1
DEFAULT_SCHEDULER = "DPM++ SDE"


class PictureRequest(Struct, frozen=True):
    """A picture that is asked for, every field decided."""

    prompt: str
    #: What the picture should not show; may be empty.
    negative_prompt: str
    #: One of `core.samplers.SCHEDULERS`.
    scheduler: str
    steps: int
    #: How far the picture follows the prompt (classifier-free guidance): 1 is without guidance.
    cfg_scale: float
    #: Pixels, exactly these.
    width: int
    height: int
    #: Of all randomness: the same request with the same seed is the same picture.
    seed: int
