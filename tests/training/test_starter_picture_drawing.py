"""The starter picture model's data: drawings read back as they were meant, captions that say them, held-out combinations."""

from collections import Counter
from random import Random

import pytest
from PIL import Image

from training.starter_picture import questions, words
from training.starter_picture.captions import Captioned, Shares, captioned
from training.starter_picture.drawing import SCENES, Picture, Thing, draw
from training.starter_picture.meaning import ANSWERS, KINDS, answers
from training.starter_picture.reading import nearest_name, read
from training.starter_picture.shapes import COLOURS, PLACES, SHAPES, SIZES, corners, held_out
from training.starter_picture.stages import Recipe, UnetStage
from training.starter_picture.tokens import END, START, tables

SAMPLE = 3000
#: A square picture, the API's default, and its oddest one.
PIXELS = ((256, 256), (1024, 1024), (257, 1343), (1343, 257))


@pytest.fixture(scope="module")
def made() -> list[Captioned]:
    """A long stretch of captioned pictures."""
    random = Random(3)
    return [captioned(random, Shares()) for _ in range(SAMPLE)]


def _one(colour: str, shape: str, ground: str, size: str = "", place: str = "") -> Picture:
    return Picture(ground, (Thing(colour, shape, SIZES[size], PLACES[place]),))


@pytest.mark.parametrize(("width", "height"), PIXELS)
def test_what_is_drawn_is_read_back(width: int, height: int) -> None:
    """Every shape is read as itself by the strict rule, at square and at odd sizes, and so is its place."""
    random = Random(1)
    for colour, shape, ground in questions.combinations(18):
        for place in ("", "top left"):
            seen = read(draw(_one(colour, shape, ground, "small", place), width, height, random))
            assert seen.is_strictly(colour, shape, ground), (colour, shape, ground, seen)
            assert seen.middle == pytest.approx(PLACES[place], abs=0.08)


def test_another_thing_is_not_read_as_this_one() -> None:
    """A wrong colour, shape or ground fails the strict rule."""
    seen = read(draw(_one("red", "star", "blue"), 256, 256, Random(1)))
    assert seen.is_strictly("red", "star", "blue")
    assert not seen.is_strictly("orange", "star", "blue")
    assert not seen.is_strictly("red", "cross", "blue")
    assert not seen.is_strictly("red", "star", "gray")


def test_a_stretched_circle_is_no_circle() -> None:
    """Outlines keep their proportions: twice as wide is something else."""
    image = draw(_one("red", "circle", "blue"), 256, 256, Random(1))
    assert read(image).is_strictly("red", "circle", "blue")
    assert not read(image.resize((512, 256))).is_strictly("red", "circle", "blue")


def test_a_spoilt_border_is_no_ground() -> None:
    """A picture with a third of its border in another colour fails the strict rule."""
    image = draw(_one("red", "circle", "blue"), 256, 256, Random(1))
    image.paste((35, 160, 60), (0, 0, 256, 60))
    seen = read(image)
    assert seen.ground == "blue"
    assert not seen.grounded("blue")


def test_nothing_is_read_on_an_empty_ground() -> None:
    """A picture of ground alone holds no thing."""
    seen = read(Image.new("RGB", (256, 256), COLOURS["green"]))
    assert (seen.ground, seen.colour, seen.shape, seen.area) == ("green", "", "", 0.0)


def test_the_same_seed_draws_the_same_picture() -> None:
    """A picture depends on its description and the source of chance alone."""
    picture = _one("red", "ring", "white")
    one, same, other = (draw(picture, 64, 96, Random(seed)).tobytes() for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("name", list(SCENES))
def test_scenes_show_ball_and_land(name: str) -> None:
    """A scene's ball is in the upper middle and its land below."""
    image = draw(Picture(scene=name), 256, 192, Random(1))
    assert nearest_name(image, (0.5, 0.3)) == SCENES[name].ball
    assert nearest_name(image, (0.2, 0.9)) == SCENES[name].land


def test_the_same_seed_gives_the_same_captions() -> None:
    """Two sources of chance with one seed agree."""
    one, same, other = ([captioned(random, Shares()) for _ in range(50)] for random in map(Random, (1, 1, 2)))
    assert one == same
    assert one != other


def test_captions_say_what_is_drawn(made: list[Captioned]) -> None:
    """Each thing's colour and shape stand side by side in the caption, and the first thing is named first."""
    for each in made:
        named = [f"{thing.colour} {thing.shape}" for thing in each.picture.things]
        found = [each.caption.find(name) for name in named]
        assert min(found, default=0) >= 0, each
        assert found == sorted(found), each


def test_held_out_combinations_are_never_drawn(made: list[Captioned]) -> None:
    """No picture of the training shows a combination that the evaluation asks for, and the evaluation asks for no other."""
    shown = {(thing.colour, thing.shape, each.picture.ground) for each in made for thing in each.picture.things}
    asked = questions.combinations(1000)
    assert len(asked) == 109
    assert all(held_out(*combination) for combination in asked)
    assert not shown & set(asked)
    assert len(shown) > 200


def test_everything_may_be_asked_for() -> None:
    """The decoder, which must know every colour beside every other, learns held-out combinations too."""
    random = Random(1)
    pictures = [captioned(random, Shares(), everything=True).picture for _ in range(500)]
    assert any(held_out(thing.colour, thing.shape, picture.ground) for picture in pictures for thing in picture.things)


def test_kinds_have_their_shares(made: list[Captioned]) -> None:
    """Scenes, pairs and stars are within three hundredths of the shares they should have."""
    shares = Shares()
    scenes = sum(bool(each.picture.scene) for each in made) / SAMPLE
    pairs = sum(len(each.picture.things) == 2 for each in made) / SAMPLE
    shapes = Counter(thing.shape for each in made for thing in each.picture.things)
    assert scenes == pytest.approx(shares.scenes, abs=0.03)
    assert pairs == pytest.approx(shares.pairs, abs=0.03)
    # Combinations are held out shape by shape, so that the others are not quite equally often.
    assert shapes["star"] > 1.4 * max(count for shape, count in shapes.items() if shape != "star")


def test_a_picture_has_one_meaning(made: list[Captioned]) -> None:
    """Every question about a picture has an answer in its range, and different things have different answers."""
    for each in made[:500]:
        found = answers(each.picture)
        assert all(0 <= answer < count for answer, count in zip(found, ANSWERS, strict=True))
    assert answers(None)[0] == KINDS.index("empty")
    assert answers(Picture(scene="sea"))[0] == KINDS.index("sea")
    meant = [answers(_one("red", shape, "blue", size)) for shape in SHAPES for size in SIZES]
    assert len({tuple(found) for found in meant}) == len(meant)


def test_round_shapes_have_no_corners() -> None:
    """Asking for a circle's corners is an error."""
    with pytest.raises(ValueError, match="circle has no corners"):
        corners("circle", (0, 0), 1)


def test_a_known_word_is_one_token() -> None:
    """Byte pairs join each known word into one token, by merges that make only tokens; the marks come last."""
    tokens, merges = tables(words.KNOWN)
    assert len(tokens) == len(set(tokens))
    assert tokens[-2:] == [START, END]
    assert {f"{word}</w>" for word in words.KNOWN} <= set(tokens)
    assert {left + right for left, right in merges} <= set(tokens)


@pytest.mark.parametrize("stage", Recipe().unet, ids=lambda stage: stage.name)
def test_stages_draw_sizes_that_the_model_can(stage: UnetStage) -> None:
    """Sides are multiples of 32 pixels, shares sum to one, the rate rises and falls, and no batch is empty."""
    assert all(width % 32 == height % 32 == 0 for width, height, _ in stage.sizes)
    assert sum(share for *_, share in stage.sizes) == pytest.approx(1)
    assert stage.rate_at(0) < stage.rate_at(stage.warm_up) == stage.rate > stage.rate_at(stage.steps - 1) > 0
    assert min(stage.pictures(width, height) for width, height, _ in stage.sizes) >= 3
    assert stage.pictures(stage.base, stage.base) == stage.batch


def test_a_trial_keeps_every_stage() -> None:
    """A shortened recipe has all stages, each with a few steps."""
    short = Recipe().shortened(0.001)
    assert [stage.name for stage in short.unet] == [stage.name for stage in Recipe().unet]
    assert {2} <= {short.text.steps, short.vae.steps} <= {2, 3}
    assert all(2 <= stage.steps <= 8 for stage in short.unet)
