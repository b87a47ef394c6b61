"""The facts: tables in data/ times the phrasings of their family, each with one phrasing kept from training.

Nothing here is random, and no file outside data/ is read.
"""

from dataclasses import dataclass
from pathlib import Path

from training.starter_chat.exchange import Language
from training.starter_chat.families import FAMILIES, Family

DATA = Path(__file__).parent / "data"
#: The columns of each table, in the order of its file.
COLUMNS = {
    "countries": ("name", "capital", "continent", "polish", "genitive", "polish_capital", "verb"),
    "flags": ("name", "colours", "genitive", "polish_colours"),
    "months": ("number", "ordinal", "month", "days", "polish_ordinal", "polish", "after", "polish_days"),
    "days": ("day", "polish", "after"),
    "planets": ("ordinal", "planet", "polish_ordinal", "polish"),
    "status_codes": ("number", "name"),
    "elements": ("name", "genitive", "symbol"),
    "word_pairs": ("english", "polish"),
    "number_words": ("en", "pl"),
}
POLISH_CONTINENTS = {
    "Europe": "w Europie",
    "Asia": "w Azji",
    "Africa": "w Afryce",
    "North America": "w Ameryce Północnej",
    "South America": "w Ameryce Południowej",
    "Oceania": "w Oceanii",
}
#: Tables whose rows follow each other in a circle.
CIRCLES = ("months", "days")


@dataclass(frozen=True)
class Fact:
    """One answer and all the ways of asking for it."""

    kind: str
    language: Language
    phrasings: tuple[str, ...]
    #: Asked by the evaluation only.
    held_out: str
    answer: str


def lines(name: str) -> list[str]:
    """Gives the lines of a data file that are neither empty nor a comment."""
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def rows(name: str) -> list[dict[str, str]]:
    """Gives a table's rows by column; a row of a circle also holds its successor's cells as 'next_...'."""
    cells = [[cell.strip() for cell in line.split("|")] for line in lines(name)]
    table = [dict(zip(COLUMNS[name], row, strict=True)) for row in cells]
    for number, row in enumerate(table):
        row["polish_continent"] = POLISH_CONTINENTS.get(row.get("continent", ""), "")
        if name in CIRCLES:
            following = table[(number + 1) % len(table)]
            row.update({f"next_{column}": following[column] for column in COLUMNS[name]})
    return table


def fact(family: Family, row: dict[str, str]) -> Fact:
    """Fills a family's phrasings and answer with one row."""
    asked = tuple(_filled(phrasing, row) for phrasing in family.phrasings)
    return Fact(family.kind, family.language, asked, _filled(family.held_out, row), _sentence(family.answer, row))


def table_facts() -> list[Fact]:
    """Lists the facts of every family and row."""
    return [fact(family, row) for family in FAMILIES for row in rows(family.table)]


def general_facts() -> list[Fact]:
    """Lists the facts that stand alone."""
    found: list[Fact] = []
    languages: tuple[Language, Language] = ("en", "pl")
    for language in languages:
        for line in lines(f"general_{language}"):
            questions, answer = line.rsplit(" = ", 1)
            *asked, held_out = questions.split(" / ")
            found.append(Fact("general", language, tuple(asked), held_out, answer))
    return found


def small_talk() -> list[Fact]:
    """Lists the greetings, who the model is, what it can do and how to attach a real one."""
    found: list[Fact] = []
    for line in lines("talk"):
        kind, language, questions, answer = line.split(" | ")
        *asked, held_out = questions.split(" / ")
        found.append(Fact(kind, "pl" if language == "pl" else "en", tuple(asked), held_out, answer))
    return found


def _filled(pattern: str, row: dict[str, str]) -> str:
    """Puts a row's cells into a pattern."""
    return pattern.format(**row)


def _sentence(pattern: str, row: dict[str, str]) -> str:
    """Puts a row's cells into a pattern, starts it with a capital and ends it with one full stop."""
    text = _filled(pattern, row)
    return text[0].upper() + text[1:].replace("..", ".")
