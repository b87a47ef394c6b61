"""The bound on a prompt's tokens holds, and known texts count as OpenAI counts them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitoolai.core.tokens import CL100K, count_prompt, count_text, prompt_tokens_bound

#: Counts of tiktoken's o200k_base.
KNOWN = [("", 0), ("hello world", 2), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7), ("お誕生日おめでとう", 8)]
#: Counts of tiktoken's cl100k_base (the cookbook's).
KNOWN_CL100K = [("", 0), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7), ("お誕生日おめでとう", 9)]
#: The conversation of OpenAI's cookbook and its prompt_tokens at gpt-4o and gpt-4o-mini.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
COOKBOOK_TOKENS = 124

TEXT = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80),
    st.text(alphabet='zażółć gęślą jaźń 😀👩‍👩‍👧‍👦\n\t"\\/\x00\x1f\u2028', max_size=80),
    st.sampled_from(["<|endoftext|>", "<|im_start|>", "\u00a0" * 20, "0" * 40, " " * 60, "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "ﷺ" * 5]),
)
CONTENT = TEXT | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXT), max_size=3)
CALL = st.builds(
    lambda name, args: {"id": "c", "type": "function", "function": {"name": name, "arguments": args}}, TEXT, TEXT
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "developer"]), "content": CONTENT | st.none()},
    optional={"name": TEXT, "tool_call_id": TEXT, "tool_calls": st.lists(CALL, max_size=2)},
)
TOOL = st.builds(
    lambda name, text: {"type": "function", "function": {"name": name, "description": text, "parameters": {}}},
    TEXT, TEXT,
)  # fmt: skip
BODY = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(MESSAGE, min_size=1, max_size=6)},
    optional={
        "tools": st.lists(TOOL, max_size=3),
        "response_format": st.builds(lambda text: {"type": "json_schema", "json_schema": {"name": text}}, TEXT),
    },
)


@pytest.mark.parametrize(("text", "tokens"), KNOWN)
def test_known_texts(text: str, tokens: int) -> None:
    """As tiktoken counts them."""
    assert count_text(text) == tokens


def test_the_cookbooks_conversation() -> None:
    """https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken, gpt-4o."""
    assert count_prompt({"messages": COOKBOOK}) == COOKBOOK_TOKENS


@settings(max_examples=300)
@given(BODY, st.booleans())
def test_the_bound_holds(body: dict[str, Any], ascii_only: bool) -> None:
    """However the JSON was written: compact, with raw characters or with escapes."""
    raw = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    assert prompt_tokens_bound(len(raw)) >= count_prompt(body)


@pytest.mark.parametrize(
    ("more", "grows"),
    [
        ({"tools": [{"type": "function", "function": {"name": "weather"}}]}, True),
        ({"functions": [{"name": "weather"}]}, True),
        ({"response_format": {"type": "json_object"}}, True),
        ({"tools": []}, False),
        ({"temperature": 1, "user": "somebody"}, False),
    ],
)
def test_tools_and_schemas_are_read_by_the_model(more: dict[str, Any], grows: bool) -> None:
    """Other fields are not."""
    plain = {"messages": [{"role": "user", "content": "hi"}]}
    assert (count_prompt({**plain, **more}) > count_prompt(plain)) == grows


def test_all_texts_of_a_message_count() -> None:
    """Parts, refusals, tool calls and names; parts without text count nothing."""
    parts = [{"type": "text", "text": "hello world"}, {"type": "refusal", "refusal": "no"}, {"type": "image_url"}]
    role = count_text("assistant")
    assert count_prompt({"messages": [{"role": "assistant", "content": parts}]}) == 6 + role + count_text("hello worldno")
    assert count_prompt({"messages": [{"role": "assistant", "content": None}]}) == 6 + role
    assert count_prompt({"messages": [{"role": "assistant", "content": "", "name": "ann"}]}) == 7 + role + 1
    calls = [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]
    assert count_prompt({"messages": [{"role": "assistant", "tool_calls": calls}]}) > 6 + role + 5


def test_a_body_without_messages_has_only_its_frame() -> None:
    """Three tokens around every prompt."""
    assert count_prompt({}) == 3


@pytest.mark.parametrize(("text", "tokens"), KNOWN_CL100K)
def test_the_embedding_models_vocabulary_is_counted_too(text: str, tokens: int) -> None:
    """OpenAI's embedding models have another one than those that chat; a token is at least a byte of it as well."""
    assert count_text(text, CL100K) == tokens <= len(text.encode())
