"""Programs that people have: the seed document's own samples, curl, OpenAI's SDK; on a server with nothing set."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.databases import open_folder
from tests.support.servers import ProductServer, product_server

SAMPLES = Path(__file__).parents[1] / "support" / "samples"
ANSWER = "Alaska"
QUESTION = "What's the largest U.S. state by area?"
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ProductServer]:
    """A server started with nothing configured: embedded database, starter model, the first key in its file."""
    with open_folder() as folder, product_server(folder, None) as server:
        server.start()
        server.wait_engine("starter")
        yield server


@pytest.fixture(scope="module")
def key(sandbox: ProductServer) -> str:
    """The key of the first start."""
    file = sandbox.data_dir / "first-key"
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text().strip()


@pytest.fixture(scope="module")
def client(sandbox: ProductServer, key: str) -> Iterator[openai.OpenAI]:
    """OpenAI's SDK, told only the base URL."""
    with openai.OpenAI(base_url=f"{sandbox.base}/v1", api_key=key, max_retries=0) as made:
        yield made


def balance(sandbox: ProductServer) -> Decimal:
    """Return what the sandbox's account has left; nothing is held meanwhile."""
    shown = sandbox.json("account", "show", "sandbox")
    assert shown["held"] == "0"
    return Decimal(shown["balance"])


def printed(text: str) -> list[str]:
    """Return the events that a sample printed."""
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


def content(events: list[str]) -> str:
    """Return the text of a stream's events."""
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def cost(events: list[str]) -> Decimal:
    """Return `usage.cost` of a stream's events."""
    return Decimal(str(json.loads(events[-2])["usage"]["cost"]))


def sample(sandbox: ProductServer, key: str, language: str) -> str:
    """Return a sample of the seed document, its host and key replaced and nothing else."""
    text = (SAMPLES / f"chat-completions.{language}.txt").read_text()
    for old, new in (("https://minitoolai.com", sandbox.base), ("MiniToolAI_API_Key", key)):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("variant", ["as printed", "single result", "streamed"])
def test_the_seeds_python_sample_runs_unchanged(sandbox: ProductServer, key: str, tmp_path: Path, variant: str) -> None:
    """Both of its ways to read, and both one after the other; exactly the cost that it printed is gone."""
    program = sample(sandbox, key, "python")
    before_single, single = program.split("#single result\n")
    single, streamed = single.split("#streamed\n")
    program = {
        "as printed": program,
        "single result": before_single + single,
        "streamed": before_single + streamed,
    }[variant]
    file = tmp_path / "sample.py"
    file.write_text(program)
    before = balance(sandbox)
    done = subprocess.run(
        [sys.executable, file], capture_output=True, encoding="utf-8", check=False, timeout=120,
        env={"LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    events = printed(done.stdout)
    assert events.count("[DONE]") == (2 if variant == "as printed" else 1)
    events = events[: events.index("[DONE]") + 1]
    assert ANSWER in content(events)
    assert balance(sandbox) == before - cost(events)
    assert cost(events) > 0
    assert sandbox.json("ledger", "verify")["ok"]


def test_the_seeds_php_sample_runs_unchanged(sandbox: ProductServer, key: str, tmp_path: Path) -> None:
    """With PHP's own cURL, streaming as it prints."""
    php = shutil.which("php")
    if php is None or b"curl" not in subprocess.run([php, "-m"], capture_output=True, check=True).stdout:
        pytest.skip("PHP IS MISSING, ITS SAMPLE WAS NOT RUN: apt-get install php-cli php-curl")
    file = tmp_path / "sample.php"
    file.write_text(sample(sandbox, key, "php"))
    before = balance(sandbox)
    done = subprocess.run([php, file], capture_output=True, encoding="utf-8", check=True, timeout=120)
    events = printed(done.stdout)
    assert events[-1] == "[DONE]"
    assert ANSWER in content(events)
    assert balance(sandbox) == before - cost(events)
    assert sandbox.json("ledger", "verify")["ok"]


def test_the_starter_says_what_it_is(sandbox: ProductServer, client: openai.OpenAI) -> None:
    """In the start-up notice's models, and in each reply's `model`: nobody takes it for the real one."""
    assert {model.id for model in client.models.list() if model.model_dump()["type"] == "chat"} == {
        "gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano",
    }  # fmt: skip
    served = {model.id: model.model_dump()["served_by"] for model in client.models.list()}
    assert served.pop("espeak-ng") == "espeak"  # no stand-in
    assert set(served.values()) == {"starter"}
    reply = client.chat.completions.create(model="gpt-4.1-nano", messages=MESSAGES)
    assert reply.model == "minitoolai-starter"
    assert sandbox.json("models")[0]["engine"] == "starter"


@pytest.mark.parametrize("slash", ["", "/"])
def test_curl(sandbox: ProductServer, key: str, slash: str) -> None:
    """As people try an API: streamed without a buffer, and whole."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES})
    common = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {key}", "-d", body, "-H"]
    for path in ("/api/chat-completions", "/v1/chat/completions"):
        done = subprocess.run(
            [*common, "Content-Type: application/json", "-N", sandbox.base + path + slash],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert ANSWER in (content(printed(done.stdout)) if "api" in path else done.stdout)
    refused = subprocess.run(
        ["curl", "-sS", "-H", "Expect: 100-continue", "-d", "@-", sandbox.base + "/v1/chat/completions"],
        input=body, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(refused.stdout)["error"]["code"] == "invalid_api_key"


def test_openais_sdk_whole_and_streamed(sandbox: ProductServer, client: openai.OpenAI) -> None:
    """By base URL alone; the cost stands in its usage object."""
    before = balance(sandbox)
    whole = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_completion_tokens=50)
    assert ANSWER in (whole.choices[0].message.content or "")
    assert whole.usage is not None
    spent = Decimal(str(whole.usage.model_dump()["cost"]))
    text = ""
    with client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            if chunk.usage is not None:
                spent += Decimal(str(chunk.usage.model_dump()["cost"]))
    assert text == whole.choices[0].message.content
    assert balance(sandbox) == before - spent


async def test_openais_sdk_asynchronous(sandbox: ProductServer, key: str) -> None:
    """Its async client, whole, streamed, and by its own helper for streams."""
    async with openai.AsyncOpenAI(base_url=f"{sandbox.base}/v1", api_key=key, max_retries=0) as client:
        whole = await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        text = ""
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
        async with stream:
            async for chunk in stream:
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
        async with client.chat.completions.stream(model="gpt-4o-mini", messages=MESSAGES) as helper:
            final = await helper.get_final_completion()
    assert ANSWER in text
    assert text == whole.choices[0].message.content == final.choices[0].message.content


def test_openais_sdk_raises_its_own_classes(sandbox: ProductServer, key: str, client: openai.OpenAI) -> None:
    """Each status arrives as the class that programs catch, with our message, code and request id."""
    base = f"{sandbox.base}/v1"
    with openai.OpenAI(base_url=base, api_key="sk-wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as unknown:
            stranger.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert unknown.value.code == "invalid_api_key"
        assert (unknown.value.request_id or "").startswith("req_")
    with pytest.raises(openai.NotFoundError, match="gpt-5000"):
        client.chat.completions.create(model="gpt-5000", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as invalid:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=3)
    assert (invalid.value.param, invalid.value.code) == ("temperature", "invalid_value")
    sandbox.json("account", "create", "poor", "--credit", "0.000001")
    poor = sandbox.json("key", "create", "--account", "poor")["key"]
    with openai.OpenAI(base_url=base, api_key=poor, max_retries=3) as client_of_poor:
        with pytest.raises(openai.APIStatusError) as short:
            client_of_poor.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert (short.value.status_code, short.value.code) == (402, "insufficient_credit")
    narrow = sandbox.json("key", "create", "--account", "sandbox", "--models", "gpt-4o")["key"]
    with (
        openai.OpenAI(base_url=base, api_key=narrow, max_retries=0) as client_of_narrow,
        pytest.raises(openai.PermissionDeniedError, match="gpt-4o-mini"),
    ):
        client_of_narrow.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_the_responses_api_on_the_starter(sandbox: ProductServer, client: openai.OpenAI) -> None:
    """The local engine answers it too, whole, streamed and cut by a limit; each call costs what its usage says."""
    before = balance(sandbox)
    whole = client.responses.create(model="gpt-4o-mini", input=QUESTION)
    assert ANSWER in whole.output_text
    assert (whole.status, whole.model) == ("completed", "minitoolai-starter")
    with client.responses.stream(model="gpt-4o-mini", input=QUESTION) as events:
        kinds = [event.type for event in events]
        streamed = events.get_final_response()
    assert kinds.count("response.output_text.delta") > 1
    assert streamed.output_text == whole.output_text
    cut = client.responses.create(model="gpt-4o-mini", input=QUESTION, max_output_tokens=1)
    assert (cut.status, cut.incomplete_details and cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    costs = [Decimal(str(reply.usage.model_dump()["cost"])) for reply in (whole, streamed, cut) if reply.usage]
    assert len(costs) == 3
    assert before - _settled(sandbox) == sum(costs)


def test_a_caller_that_leaves_the_starter_pays_what_was_made(sandbox: ProductServer, client: openai.OpenAI) -> None:
    """The local engine counts as it goes, so a broken-off answer costs its part, and nothing stays held."""
    before = balance(sandbox)
    with client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))
    after = _settled(sandbox)
    whole = client.chat.completions.create(model="gpt-4o", messages=MESSAGES).usage
    assert whole is not None
    most = Decimal(str(whole.model_dump()["cost"]))
    assert Decimal(0) < before - after <= most
    assert sandbox.json("ledger", "verify")["ok"]


def _settled(sandbox: ProductServer) -> Decimal:
    for _ in range(20):
        if sandbox.json("account", "show", "sandbox")["held"] == "0":
            break
    return balance(sandbox)
