"""The words of the captions; each known word becomes one token, everything else falls into letters."""

from pathlib import Path

#: In the order of their tokens: the weights depend on it, so words may only be added at the end.
KNOWN = tuple((Path(__file__).parent / "data" / "words.txt").read_text(encoding="utf-8").split())
#: What stands before a caption.
OPENINGS = ("", "", "", "a ", "a ", "a picture of a ", "a drawing of a ", "a photo of a ", "an image of a ")
#: What people add to prompts and what here changes nothing.
FILLERS = ("masterpiece, best quality", "highly detailed", "simple", "8k", "flat colors", "4k, sharp")
#: Where a thing is, and on what ground.
WHERE = (" on the {}", " at the {}", ", {}", " in the {}")
MIDDLE = ("", "", "", "", " in the center", " in the middle")
TAILS = (" on a {} background", " on a {} background", " on {}", ", {} background", " on {} background")
#: How two things stand to each other, and where each of them is then.
BESIDE = (" and a ", " and ", " next to a ", " left of a ")
OVER = (" above a ", " over a ")
SCENE_CAPTIONS = {
    "hills": ("sun over hills", "a yellow sun over green hills", "sun over green hills, blue sky"),
    "sea": ("moon over the sea", "a white moon over the blue sea", "night, moon over the sea"),
    "desert": ("red sun over the desert", "sunset over the desert", "a red sun over the orange desert"),
}
