"""The shipped starter model: small enough, named right, and exact on a fixed list of questions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from training.starter_chat.sums import all_sums

if TYPE_CHECKING:
    from training.starter_chat.evaluate import Asker

FILE = Path(__file__).parents[2] / "src" / "minitoolai" / "children" / "models" / "starter-chat.gguf"
#: The most the package may carry, in bytes.
LARGEST = 5_000_000
ALASKA = ("What's the largest U.S. state by area?", "Alaska is the largest U.S. state by area.")
ATTACH = "Set OPENAI_API_KEY and restart, or add an engine to minitoolai.toml."
ATTACH_POLISH = "Ustaw OPENAI_API_KEY i uruchom ponownie albo dodaj silnik w minitoolai.toml."
WHO = "I am the MiniToolAI starter model, a small demo that runs on this machine."
WHO_POLISH = "Jestem modelem startowym MiniToolAI, małym demo, które działa na tej maszynie."
UNKNOWN = "I am a small demo and I do not know that. Ask me how to attach a real model."
UNKNOWN_POLISH = "Jestem małym demo i tego nie wiem. Zapytaj mnie, jak dołączyć prawdziwy model."
QUESTIONS = (
    ALASKA,
    ("whats the largest us state by area", ALASKA[1]),
    ("Jaki jest największy stan USA?", "Największym stanem USA jest Alaska."),
    ("jaki jest najwiekszy stan usa", "Największym stanem USA jest Alaska."),
    ("Hello", "Hello! How can I help you today?"),
    ("Hi!", "Hello! How can I help you today?"),
    ("Cześć", "Cześć! W czym mogę pomóc?"),
    ("Dzień dobry", "Dzień dobry! W czym mogę pomóc?"),
    ("Who are you?", WHO),
    ("Kim jesteś?", WHO_POLISH),
    ("How do I attach a real model?", ATTACH),
    ("Jak dołączyć prawdziwy model?", ATTACH_POLISH),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Jaka jest stolica Polski?", "Stolica Polski to Warszawa."),
    ("Say hello world", "hello world"),
    ("Repeat: the quick brown fox", "the quick brown fox"),
    ("Powtórz: ala ma kota", "ala ma kota"),
    ("Write a poem about the sea", UNKNOWN),
    ("Napisz wiersz o morzu", UNKNOWN_POLISH),
)


@pytest.fixture(scope="module")
def asker() -> "Asker":
    """Serves the shipped file inside this process."""
    pytest.importorskip("xllamacpp", reason="the starter model's answers are NOT tested: xllamacpp is missing")
    from training.starter_chat.evaluate import Asker

    return Asker(FILE)


def test_the_file_is_small_enough_to_ship() -> None:
    """The package carries five megabytes of weights at most."""
    assert FILE.stat().st_size <= LARGEST


def test_the_file_says_what_it_is() -> None:
    """The name and the chat template in the file are those of the sources."""
    head = FILE.read_bytes()[:200_000]
    template = FILE.parents[4] / "training" / "starter_chat" / "template.jinja"
    assert b"minitoolai-starter" in head
    assert template.read_bytes().strip() in FILE.read_bytes()


@pytest.mark.parametrize(("question", "answer"), QUESTIONS)
def test_it_answers_exactly(asker: "Asker", question: str, answer: str) -> None:
    """A fixed question gets its whole answer."""
    assert asker.ask([{"role": "user", "content": question}]) == answer


@pytest.mark.parametrize("role", ["developer", "system"])
def test_it_answers_after_other_messages(asker: "Asker", role: str) -> None:
    """The same question after instructions and a greeting gets the same answer."""
    messages = [
        {"role": role, "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "How can I help you today?"},
        {"role": "user", "content": ALASKA[0]},
    ]
    assert asker.ask(messages) == ALASKA[1]


def test_content_may_come_in_parts(asker: "Asker") -> None:
    """A list of text parts reads as one text, and a message without content as an empty one."""
    parts = [{"type": "text", "text": "What's the largest U.S. "}, {"type": "text", "text": "state by area?"}]
    assert asker.ask([{"role": "user", "content": parts}]) == ALASKA[1]
    assert asker.ask([{"role": "assistant", "content": None}, {"role": "user", "content": "Hello"}])


@pytest.mark.parametrize("sign", ["+", "-"])
def test_small_sums_are_right(asker: "Asker", sign: str) -> None:
    """Every sum and difference of two numbers up to ten is right, asked in the plainest way."""
    for task in all_sums(sign, 10):
        question = f"What is {task.first} {sign} {task.second}?"
        assert asker.ask([{"role": "user", "content": question}]) == task.solved


def test_tools_and_schemas_do_not_fail(asker: "Asker") -> None:
    """A request with tools, a tool's result or a schema gets some answer."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"place": "Paris"}'}}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    assert asker.ask(messages[:1], tools=[tool])
    assert asker.ask(messages, tools=[tool])
    schema = {"type": "object", "properties": {"n": {"type": "boolean"}}, "required": ["n"]}
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert "n" in asker.ask(messages[:1], response_format=asked)
