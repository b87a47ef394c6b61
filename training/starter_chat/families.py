"""The phrasings of the facts that come from tables: one family for each table, kind and language."""

from dataclasses import dataclass

from training.starter_chat.exchange import Language


@dataclass(frozen=True)
class Family:
    """Patterns whose fields are the columns of one table."""

    kind: str
    language: Language
    #: The name of the table in data/.
    table: str
    answer: str
    phrasings: tuple[str, ...]
    #: Never trained on.
    held_out: str


FAMILIES = (
    Family(
        "capital", "en", "countries", "The capital of {name} is {capital}.",
        (
            "What is the capital of {name}?", "What's the capital of {name}?", "capital of {name}",
            "Which city is the capital of {name}?", "Tell me the capital of {name}.",
            "Name the capital city of {name}", "Do you know the capital of {name}?", "{name}, capital?",
            "the capital of {name} is", "What city is the capital of {name}?",
        ),
        "What is the capital city of {name}?",
    ),
    Family(
        "capital", "pl", "countries", "Stolica {genitive} to {polish_capital}.",
        (
            "Jaka jest stolica {genitive}?", "Co jest stolicą {genitive}?", "stolica {genitive}",
            "Podaj stolicę {genitive}.", "Jakie miasto jest stolicą {genitive}?",
            "Powiedz mi, jaka jest stolica {genitive}", "Znasz stolicę {genitive}?",
            "Jak nazywa się stolica {genitive}?",
        ),
        "Które miasto to stolica {genitive}?",
    ),
    Family(
        "continent", "en", "countries", "{name} is in {continent}.",
        (
            "Which continent is {name} in?", "What continent is {name} on?", "{name} is on which continent?",
            "On what continent is {name}?", "Tell me the continent of {name}.",
            "What continent is {name} in?",
            "continent of {name}",
        ),
        "On which continent is {name} located?",
    ),
    Family(
        "continent", "pl", "countries", "{polish} {verb} {polish_continent}.",
        (
            "Na jakim kontynencie {verb} {polish}?", "Na którym kontynencie {verb} {polish}?",
            "{polish} - jaki kontynent?", "Podaj kontynent: {polish}", "Jaki to kontynent: {polish}?",
            "{polish} {verb} na jakim kontynencie?",
        ),
        "Powiedz, na jakim kontynencie {verb} {polish}",
    ),
    Family(
        "flag", "en", "flags", "The flag of {name} is {colours}.",
        (
            "What colours are on the flag of {name}?", "What are the colors of the flag of {name}?",
            "flag of {name}", "What color is the flag of {name}?", "Describe the flag of {name}.",
            "What does the flag of {name} look like?",
        ),
        "Which colours does the flag of {name} have?",
    ),
    Family(
        "flag", "pl", "flags", "Kolory flagi {genitive}: {polish_colours}.",
        (
            "Jakie kolory ma flaga {genitive}?", "Jakie są kolory flagi {genitive}?", "flaga {genitive}",
            "Opisz flagę {genitive}.", "Jaka jest flaga {genitive}?", "Jak wygląda flaga {genitive}?",
        ),
        "Podaj kolory flagi {genitive}",
    ),
    Family(
        "planet", "en", "planets", "The {ordinal} planet from the Sun is {planet}.",
        (
            "What is the {ordinal} planet from the Sun?", "Which planet is {ordinal} from the Sun?",
            "Name the {ordinal} planet", "{ordinal} planet of the solar system",
            "What's the {ordinal} planet?",
            "Which is the {ordinal} planet?", "Tell me the {ordinal} planet from the Sun.",
        ),
        "What is the {ordinal} planet in the solar system?",
    ),
    Family(
        "planet", "pl", "planets", "{polish_ordinal} planeta od Słońca to {polish}.",
        (
            "Jaka jest {polish_ordinal} planeta od Słońca?", "Która planeta jest {polish_ordinal} od Słońca?",
            "{polish_ordinal} planeta", "Podaj, jaka jest {polish_ordinal} planeta Układu Słonecznego",
            "Jaka jest {polish_ordinal} planeta?", "Co to jest {polish_ordinal} planeta od Słońca?",
        ),
        "Jak się nazywa {polish_ordinal} planeta od Słońca?",
    ),
    Family(
        "month", "en", "months", "The {ordinal} month is {month}.",
        (
            "What is the {ordinal} month of the year?", "Which month is the {ordinal}?", "{ordinal} month",
            "Name month number {number}", "Which month is number {number}?", "What's the {ordinal} month?",
            "Tell me the {ordinal} month.",
        ),
        "Name the {ordinal} month of the year",
    ),
    Family(
        "month", "pl", "months", "{polish_ordinal} miesiąc to {polish}.",
        (
            "Jaki jest {polish_ordinal} miesiąc roku?", "Który miesiąc jest {polish_ordinal}?",
            "{polish_ordinal} miesiąc", "Podaj miesiąc numer {number}", "Podaj {polish_ordinal} miesiąc",
            "Jaki jest {polish_ordinal} miesiąc?",
        ),
        "Jak nazywa się {polish_ordinal} miesiąc roku?",
    ),
    Family(
        "month", "en", "months", "{month} has {days}.",
        (
            "How many days does {month} have?", "How many days are in {month}?", "days in {month}",
            "How long is {month}?", "What number of days does {month} have?", "How many days has {month}?",
        ),
        "How many days are there in {month}?",
    ),
    Family(
        "month", "pl", "months", "{polish} ma {polish_days} dni.",
        (
            "Ile dni ma {polish}?", "{polish} ile ma dni?", "Ile dni trwa {polish}?",
            "Podaj, ile dni ma {polish}", "Ile trwa {polish}?", "Ile dni liczy {polish}?",
        ),
        "Powiedz, ile dni ma {polish}?",
    ),
    Family(
        "month", "en", "months", "After {month} comes {next_month}.",
        (
            "Which month comes after {month}?", "What month is after {month}?", "month after {month}",
            "What comes after {month}?", "What's the month after {month}?",
            "What is the next month after {month}?",
        ),
        "Which month follows {month}?",
    ),
    Family(
        "month", "pl", "months", "Po {after} jest {next_polish}.",
        (
            "Jaki miesiąc jest po {after}?", "Który miesiąc jest po {after}?", "miesiąc po {after}",
            "Co jest po {after}?", "Jaki jest następny miesiąc po {after}?", "Co następuje po {after}?",
        ),
        "Jaki miesiąc następuje po {after}?",
    ),
    Family(
        "day", "en", "days", "After {day} comes {next_day}.",
        (
            "Which day comes after {day}?", "What day is after {day}?", "day after {day}",
            "What comes after {day}?", "What's the day after {day}?", "What is the next day after {day}?",
        ),
        "Which day follows {day}?",
    ),
    Family(
        "day", "pl", "days", "Po {after} jest {next_polish}.",
        (
            "Jaki dzień jest po {after}?", "Który dzień jest po {after}?", "dzień po {after}",
            "Co jest po {after}?", "Jaki jest następny dzień po {after}?", "Co następuje po {after}?",
        ),
        "Jaki dzień następuje po {after}?",
    ),
    Family(
        "status", "en", "status_codes", "HTTP {number} means {name}.",
        (
            "What does HTTP {number} mean?", "What is HTTP status {number}?", "http {number}",
            "What does status code {number} mean?", "Explain HTTP error {number}.",
            "I got a {number}, what is it?",
            "What is HTTP {number}?", "status {number}",
        ),
        "What is the meaning of HTTP code {number}?",
    ),
    Family(
        "status", "pl", "status_codes", "HTTP {number} oznacza {name}.",
        (
            "Co oznacza HTTP {number}?", "Co znaczy kod HTTP {number}?", "kod {number}",
            "Co to jest błąd {number}?", "Wyjaśnij kod {number}.", "Co to jest HTTP {number}?",
            "Co oznacza błąd {number}?",
        ),
        "Jakie znaczenie ma kod HTTP {number}?",
    ),
    Family(
        "element", "en", "elements", "The symbol for {name} is {symbol}.",
        (
            "What is the chemical symbol for {name}?", "What's the symbol of {name}?", "symbol for {name}",
            "Chemical symbol of {name}?", "What symbol does {name} have?", "Tell me the symbol for {name}.",
        ),
        "Give me the chemical symbol of {name}.",
    ),
    Family(
        "element", "pl", "elements", "Symbol {genitive} to {symbol}.",
        (
            "Jaki jest symbol chemiczny {genitive}?", "Jaki jest symbol {genitive}?", "symbol {genitive}",
            "Podaj symbol chemiczny {genitive}.", "Jak brzmi symbol {genitive}?",
            "Powiedz, jaki jest symbol {genitive}",
        ),
        "Podaj mi symbol {genitive}",
    ),
    Family(
        "translation", "en", "word_pairs", "In Polish, {english} is {polish}.",
        (
            "How do you say {english} in Polish?", "What is {english} in Polish?", "{english} in Polish",
            "Translate {english} to Polish.", "What's {english} in Polish?",
            "Tell me the Polish for {english}.",
            "Polish for {english}", "What is the Polish for {english}?",
        ),
        "What is the Polish word for {english}?",
    ),
    Family(
        "translation", "pl", "word_pairs", "Po angielsku {polish} to {english}.",
        (
            "Jak jest po angielsku {polish}?", "Jak powiedzieć {polish} po angielsku?",
            "{polish} po angielsku",
            "Przetłumacz {polish} na angielski.", "Co to jest {polish} po angielsku?",
            "Jak będzie {polish} po angielsku?",
        ),
        "Co znaczy {polish} po angielsku?",
    ),
)  # fmt: skip
