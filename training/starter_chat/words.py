"""Words to repeat and to ask about: known ones, made-up ones, and some that are never trained on."""

from random import Random

from training.starter_chat.facts import lines

KNOWN = tuple(" ".join(lines("known_words")).split())
#: Words of the held-out questions; the generator never says them.
HELD_OUT = (
    "lantern", "velvet", "harbor", "pickle", "thunder", "wagon", "marble", "candle",
    "zebra", "forest", "chmura", "jezioro", "kamień", "okno", "wieża", "jesień",
)  # fmt: skip

ONSETS = (
    "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z",
    "w", "j", "c", "br", "dr", "st", "tr", "kl", "pl", "sh", "ch", "gr", "fl", "sz", "cz",
)  # fmt: skip
VOWELS = ("a", "e", "i", "o", "u", "y", "ou", "ie", "ea")
CODAS = ("", "", "", "n", "r", "s", "l", "t", "m", "nd", "rk", "ck")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Where gibberish takes letters from: Cyrillic, Chinese, Hebrew, Greek and faces.
FOREIGN_STARTS = (0x400, 0x4E00, 0x5D0, 0x3B1, 0x1F600)
SIGNS = "!?.,:;-_+*/=#@&%()[]{}<>|~^$"


def made_up(random: Random) -> str:
    """Makes a word of one to three syllables; never a held-out one."""
    while True:
        syllables = random.choice((1, 2, 2, 3))
        word = "".join(random.choice(ONSETS) + random.choice(VOWELS) + random.choice(CODAS) for _ in range(syllables))
        if word not in HELD_OUT:
            return word


def typed_letters(random: Random) -> str:
    """Hits a few keys at random, as in 'asdkjh'."""
    return "".join(random.choice(LETTERS) for _ in range(random.randint(2, 9)))


def some_text(random: Random, words: tuple[str, ...] = KNOWN, longest: int = 8) -> str:
    """Strings known and made-up words together, in a share that differs from text to text."""
    count = min(random.choice((1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8)), longest)
    known_share = random.choice((0.0, 0.5, 1.0, random.random()))
    return " ".join(random.choice(words) if random.random() < known_share else strange(random) for _ in range(count))


def strange(random: Random) -> str:
    """Makes something no dictionary holds: a made-up word mostly, else loose letters or digits."""
    chance = random.random()
    if chance < 0.08:
        return typed_letters(random)
    if chance < 0.16:
        return str(random.randrange(10 ** random.randint(1, 4)))
    return made_up(random)


def gibberish(random: Random) -> str:
    """Makes a prompt that asks nothing: keys hit at random, signs, digits or loose words."""
    kind = random.randrange(6)
    if kind == 0:
        return " ".join(typed_letters(random) for _ in range(random.randint(1, 5)))
    if kind == 1:
        return "".join(random.choice(SIGNS) for _ in range(random.randint(1, 12)))
    if kind == 2:
        return "".join(random.choice("0123456789") for _ in range(random.randint(4, 16)))
    if kind == 3:
        return random.choice(LETTERS) * random.randint(3, 24)
    if kind == 4:
        return " ".join([random.choice(KNOWN)] * random.randint(3, 8))
    return "".join(chr(random.choice(FOREIGN_STARTS) + random.randrange(25)) for _ in range(8))
