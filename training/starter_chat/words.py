"""Words to repeat and to ask about: known ones, made-up ones, and some that are never trained on."""

from random import Random

KNOWN = tuple(
    "sun moon tree river stone cloud bread light door table music paper glass green blue red small large quick "
    "quiet the a is one two apple house water fish bird happy cold warm slow fast new old word test hello world "
    "kot pies dom woda chleb las rzeka góra niebo stary nowy mały duży biały czarny zielony jest i na szybki "
    "cichy ciepły zimny this that I you we they am are not it and or to of in on for with my your good bad day "
    "night yes no please thanks ok okay cat dog car train bus ship road city street man woman child love like "
    "go come see run walk eat drink sleep work play read write ja ty my oni to nie tak dzień noc rok dobry zły "
    "miasto ulica samochód człowiek lubię mam idę widzę dla w z o do mama tata ala ma kota foo bar baz ping pong "
    "abc xyz".split()
)
#: Words of the held-out questions; the generator never says them.
HELD_OUT = tuple(
    "lantern velvet harbor pickle thunder wagon marble candle zebra forest "
    "chmura jezioro kamień okno most jesień".split()
)

ONSETS = "b d f g h k l m n p r s t v z w j c br dr st tr kl pl sh ch gr fl sz cz".split()
VOWELS = "a e i o u y ou ie ea".split()
CODAS = ("", "", "", "n", "r", "s", "l", "t", "m", "nd", "rk", "ck")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIGNS = "!?.,:;-_+*/=#@&%()[]{}<>|~^$"


def made_up(random: Random) -> str:
    """Makes a word of one to three syllables; never a held-out one."""
    while True:
        syllables = random.choice((1, 2, 2, 3))
        word = "".join(
            random.choice(ONSETS) + random.choice(VOWELS) + random.choice(CODAS) for _ in range(syllables)
        )
        if word not in HELD_OUT:
            return word


def typed_letters(random: Random) -> str:
    """Hits a few keys at random, as in 'asdkjh'."""
    return "".join(random.choice(LETTERS) for _ in range(random.randint(2, 9)))


def some_text(random: Random, words: tuple[str, ...] = KNOWN, longest: int = 8) -> str:
    """Strings known and made-up words together, in a share that differs from text to text."""
    count = min(random.choice((1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8)), longest)
    known_share = random.choice((0.0, 0.5, 1.0, random.random()))
    return " ".join(
        random.choice(words) if random.random() < known_share else made_up(random) for _ in range(count)
    )


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
    return "".join(chr(random.choice((0x400, 0x4E00, 0x5D0, 0x3B1, 0x1F600)) + random.randrange(25)) for _ in range(8))
