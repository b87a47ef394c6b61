"""The recipe in figures: the stages of the training, in their order, counted in steps and not in time; no torch here."""

from dataclasses import dataclass, replace

from training.starter_picture.captions import Shares

#: Pixels of width and height, and how often pictures of that size come.
Sizes = tuple[tuple[int, int, float], ...]


@dataclass(frozen=True)
class TextStage:
    """The text encoder learns the captions' meaning, alone."""

    steps: int = 500
    #: Captions in one step.
    batch: int = 96
    rate: float = 3e-3
    warm_up: int = 50
    seed: int = 3


@dataclass(frozen=True)
class VaeStage:
    """The encoder learns the latent made by hand, and the decoder its inverse."""

    steps: int = 1540
    #: Crops in one step, and the pixels of a crop's side.
    batch: int = 12
    side: int = 64
    rate: float = 1e-3
    warm_up: int = 100
    #: Noise put on the latent at most, so that the decoder cleans up.
    noise: float = 0.12
    seed: int = 0


@dataclass(frozen=True)
class UnetStage:
    """UNet and text encoder learn to draw."""

    name: str
    steps: int
    #: The highest learning rate, and the text encoder's part of it.
    rate: float
    sizes: Sizes
    shares: Shares
    #: Pictures of `base` times `base` pixels in one step: of smaller ones up to twice as many, of larger ones fewer.
    batch: int = 40
    base: int = 256
    text_rate: float = 1.0
    warm_up: int = 60
    #: The part of the steps after which the rate falls, in a line down to a fiftieth.
    level_part: float = 0.4
    #: How much of the mean weights stays at each step.
    memory: float = 0.998
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Gives the learning rate of a step."""
        part = step / self.steps
        falling = 1.0 if part < self.level_part else 0.02 + 0.98 * (1 - part) / (1 - self.level_part)
        return self.rate * min(1.0, (step + 1) / self.warm_up) * falling

    def pictures(self, width: int, height: int) -> int:
        """Gives how many pictures of this size one step has, at least three."""
        return max(3, round(self.batch * min(self.base * self.base / (width * height), 2)))


def _both_ways(*sizes: tuple[int, int, float]) -> Sizes:
    """Gives wide sizes and the same ones upright, each as often."""
    return tuple(each for width, height, share in sizes for each in ((width, height, share), (height, width, share)))


#: Stars as often as other shapes and fewer pairs: what the first three stages saw.
EVEN = Shares(pairs=0.22, star_weight=1)
UNET_STAGES = (
    UnetStage("small", 1240, 2e-3, ((128, 128, 1.0),), EVEN, batch=64, base=128, text_rate=0.3),
    UnetStage(
        "mixed",
        960,
        1.5e-3,
        ((256, 256, 0.8), (192, 320, 0.05), (320, 192, 0.05), (384, 384, 0.05), (512, 512, 0.05)),
        EVEN,
    ),
    UnetStage(
        "native",
        400,
        1e-3,
        (
            (256, 256, 0.62),
            (128, 128, 0.10),
            *_both_ways((320, 192, 0.06), (384, 256, 0.04)),
            (384, 384, 0.04),
            (512, 512, 0.04),
        ),
        EVEN,
    ),
    UnetStage(
        "shapes",
        5096,
        1.2e-3,
        (
            (256, 256, 0.42),
            *_both_ways((320, 224, 0.08), (352, 192, 0.07), (448, 160, 0.05), (608, 160, 0.04), (832, 160, 0.05)),
        ),
        Shares(),
    ),
    UnetStage(
        "wide",
        600,
        8e-4,
        (
            (256, 256, 0.20),
            *_both_ways(
                (320, 224, 0.06),
                (352, 192, 0.06),
                (448, 192, 0.07),
                (608, 192, 0.07),
                (800, 192, 0.06),
                (1024, 192, 0.08),
            ),
        ),
        Shares(),
        level_part=0.2,
    ),
)


@dataclass(frozen=True)
class Recipe:
    """All stages."""

    text: TextStage = TextStage()
    vae: VaeStage = VaeStage()
    unet: tuple[UnetStage, ...] = UNET_STAGES

    def shortened(self, part: float) -> "Recipe":
        """Gives the same recipe with this part of all steps, at least two of each, to try that it runs."""

        def steps(full: int) -> int:
            return max(2, round(full * part))

        return Recipe(
            replace(self.text, steps=steps(self.text.steps)),
            replace(self.vae, steps=steps(self.vae.steps)),
            tuple(replace(stage, steps=steps(stage.steps)) for stage in self.unet),
        )
