"""The sizes of the model and the figures that training and the GGUF file must agree on; no torch here."""

from dataclasses import dataclass

#: Added under the root of the normalisation.
EPSILON = 1e-5
#: The base of the rotary angles.
ROTARY_BASE = 10000.0


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; the export reads them again."""

    #: How many tokens there are, special ones included.
    vocabulary: int
    #: The length of the vector that runs through the layers.
    width: int = 192
    layers: int = 6
    heads: int = 6
    #: The width of the feed-forward part.
    hidden: int = 512
    #: The longest sequence, in tokens, that angles are made for.
    context: int = 2048

    @property
    def head_width(self) -> int:
        """Gives the length of one head's vectors."""
        return self.width // self.heads
