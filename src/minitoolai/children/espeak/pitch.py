"""How the pitch of speech, relative to a voice's own, is asked of espeak-ng.

Its scale of 0 to 100 is logarithmic on either side of 50, which is the voice's own; measured with six voices of 1.52.0:
0 is 0.64 to 0.73 of it, 100 is 1.5 to 1.7 times it. What goes beyond is left to `stretching`.
"""

from __future__ import annotations

import math

#: The library's value for a voice's own pitch, and how far the scale goes to either side.
OWN = 50
#: How high the ends of the scale are, relative to the middle.
LOWEST, HIGHEST = 0.68, 1.6


def pitch_value(height: float) -> int:
    """Return the library's value for a height relative to the voice's own, the nearest that it has."""
    within = min(max(height, LOWEST), HIGHEST)
    end = HIGHEST if within > 1 else 1 / LOWEST
    return round(OWN + OWN * math.log(within) / math.log(end))


def height_left(height: float) -> float:
    """Return by how much the sound is to be raised after that; 1 where the library's own scale is enough."""
    return height / min(max(height, LOWEST), HIGHEST)
