"""Repeating: requests to say a text again, and the text itself as the answer."""

from random import Random

from training.starter_chat.exchange import Exchange, Language
from training.starter_chat.words import KNOWN, some_text

REQUESTS: dict[Language, tuple[str, ...]] = {
    "en": (
        "Say {}",
        "say {}",
        "Say '{}'",
        'Say "{}"',
        "Say: {}",
        "repeat: {}",
        "Repeat: {}",
        "Repeat {}",
        "Repeat '{}'",
        'Repeat "{}"',
        "Repeat exactly: {}",
        "Repeat after me: {}",
        "Please repeat: {}",
        "Echo: {}",
        "echo {}",
        "Repeat this text: {}",
        "Say exactly: {}",
        "Can you say {}",
        "Please say '{}'",
        "Reply with: {}",
        "Respond with {}",
        "Just say {}",
    ),
    "pl": (
        "powtórz: {}",
        "Powtórz: {}",
        "Powtórz {}",
        "Powtórz za mną: {}",
        "Powiedz: {}",
        "Powiedz {}",
        "powiedz {}",
        "Powiedz '{}'",
        "Proszę powtórz: {}",
        "Powtórz ten tekst: {}",
        "Napisz: {}",
        'Powtórz "{}"',
        "Odpowiedz: {}",
        "Powtórz dokładnie: {}",
    ),
}
#: Never trained on.
HELD_OUT: dict[Language, tuple[str, ...]] = {
    "en": ("Please say: {}", "Repeat the text: {}"),
    "pl": ("Proszę powiedz: {}", "Powtórz tekst: {}"),
}


def repeated(random: Random, language: Language, words: tuple[str, ...] = KNOWN) -> Exchange:
    """Asks for a text of known and made-up words to be said again."""
    text = some_text(random, words)
    if random.random() < 0.3:
        text = text[0].upper() + text[1:] + random.choice(("", ".", "!"))
    request = random.choice(REQUESTS[language])
    if random.random() < 0.25:
        request = request.lower()
    return Exchange("repeat", language, request.format(text), text)
