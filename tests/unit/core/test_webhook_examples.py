"""The examples of docs/howto/webhooks.md verify what is sent, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from minitoolai.core.webhooks import headers, message, shown_secret
from tests.house.documents import DOCS, examples
from tests.support.told_jobs import ended_job

KEY = bytes(range(32))
JOB = ended_job()
BODY = message(JOB, "https://example.com/ż.png")

Verify = Callable[[str, Mapping[str, str], bytes], bool]

_PHP = """
$told = json_decode(stream_get_contents(STDIN), true);
$server = [];
foreach ($told["headers"] as $name => $value) {
    $server["HTTP_" . strtoupper(str_replace("-", "_", $name))] = $value;
}
echo json_encode(verify($told["secret"], $server, $told["body"]));
"""
_NODE = """
const told = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(verify(told.secret, told.headers, Buffer.from(told.body))));
"""


def _example(language: str) -> str:
    (text,) = [each.text for each in examples(language) if each.page == DOCS / "howto" / "webhooks.md"]
    return text


def _by_program(program: str, option: str, text: str) -> Verify:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} here")

    def verify(secret: str, sent: Mapping[str, str], body: bytes) -> bool:
        told = json.dumps({"secret": secret, "headers": sent, "body": body.decode()})
        done = subprocess.run([path, option, text], input=told.encode(), capture_output=True, check=True, timeout=60)
        answer = json.loads(done.stdout)
        assert isinstance(answer, bool)
        return answer

    return verify


def _python() -> Verify:
    names: dict[str, Any] = {}
    exec(compile(_example("python"), "webhooks.md", "exec"), names)
    verify: Verify = names["verify"]
    return verify


@pytest.fixture(params=["python", "php", "node"])
def verify(request: pytest.FixtureRequest) -> Verify:
    """One language's example."""
    if request.param == "python":
        return _python()
    if request.param == "php":
        return _by_program("php", "-r", _example("php").removeprefix("<?php") + _PHP)
    return _by_program("node", "-e", _example("js") + _NODE)


def test_the_examples(verify: Verify) -> None:
    """What we sent is ours; another body, id, time, account or key is not, nor what is old or signed otherwise."""
    now, secret = int(time.time()), shown_secret(KEY, JOB.account_id)
    sent = headers(KEY, JOB, BODY, now)
    assert verify(secret, sent, BODY)
    several = {**sent, "webhook-signature": f"v1a,x v1,{'A' * 43}= {sent['webhook-signature']}"}
    assert verify(secret, several, BODY), "one of several signatures is enough"
    assert not verify(secret, sent, BODY + b" ")
    assert not verify(shown_secret(KEY, JOB.account_id + 1), sent, BODY)
    assert not verify(shown_secret(bytes(32), JOB.account_id), sent, BODY)
    assert not verify(secret, {**sent, "webhook-id": "job_1"}, BODY)
    assert not verify(secret, {**sent, "webhook-timestamp": str(now - 1)}, BODY)
    assert not verify(secret, {**sent, "webhook-signature": "v1,"}, BODY)
    assert not verify(secret, headers(KEY, JOB, BODY, now - 400), BODY)
    assert not verify(secret, headers(KEY, JOB, BODY, now + 400), BODY)
