"""How people really type: no capitals, no mark at the end, a slipped letter, Polish without its marks."""

from random import Random

PLAIN_LETTERS = str.maketrans("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "acelnoszzACELNOSZZ")
PREFIXES = ("please, ", "Hey, ", "ok, ", "Proszę, ", "So, ", "Hello! ", "Cześć! ", "hi, ")
ENDINGS = ("!", "?", " ?", "??", ".", " please", " proszę", "...")

#: The share of questions each slip happens to.
LOWER_SHARE, UPPER_SHARE, NO_MARK_SHARE = 0.25, 0.03, 0.25
ENDING_SHARE, PREFIX_SHARE, PLAIN_SHARE, SLIP_SHARE = 0.03, 0.04, 0.12, 0.15


def plain(text: str) -> str:
    """Takes the Polish marks off every letter."""
    return text.translate(PLAIN_LETTERS)


def slipped(random: Random, text: str) -> str:
    """Swaps, drops or doubles one letter inside a word; a text without a place for it stays as it is."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    place = random.choice(places)
    before, letter, following, after = text[:place], text[place], text[place + 1], text[place + 2 :]
    slips = (
        before + following + letter + after,
        before + following + after,
        before + letter + letter + following + after,
    )
    return random.choice(slips)


def typed(random: Random, text: str, *, slips: bool = True) -> str:
    """Types a question as somebody in a hurry might; without slips every word stays whole."""
    if random.random() < LOWER_SHARE:
        text = text.lower()
    elif random.random() < UPPER_SHARE:
        text = text.upper()
    if random.random() < NO_MARK_SHARE:
        text = text.rstrip("?.!")
    if random.random() < ENDING_SHARE:
        text += random.choice(ENDINGS)
    if random.random() < PREFIX_SHARE:
        text = random.choice(PREFIXES) + text
    if random.random() < PLAIN_SHARE:
        text = plain(text)
    if slips and random.random() < SLIP_SHARE:
        text = slipped(random, text)
    return text
