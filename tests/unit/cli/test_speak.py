"""`minitoolai speak`, against a server that answers as ours does."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minitoolai.cli.main import main

SOUND = b"ID3 a sound"
CALL = "req_06922f3c1c8b7c1e8000d0b1c2a3f4e5"
JOB = {"status": "success", "jobid": 1234567890123, "signature": "0123456789abcdefghijkl"}


class FakeServer:
    """What is asked of it, and how it answers."""

    def __init__(self, base: str) -> None:
        self.base = base
        #: Bodies of calls, and paths with headers of all requests.
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        #: Status of a call for speech, and whether its sound breaks off.
        self.status = 200
        self.breaks = False
        #: What a job's question is answered with, in turn.
        self.states: list[dict[str, Any]] = []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server on a free port; commands find it and its key, and write into a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINITOOLAI_API_KEY", "sk-test")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    fake = FakeServer(f"http://127.0.0.1:{http.server_port}")
    http.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield fake
    http.shutdown()
    thread.join()
    http.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        fake.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fake.bodies.append(body)
        if self.path.startswith("/api/texttospeech/jobs/"):
            self._send(200, json.dumps(fake.states.pop(0)).encode(), "application/json")
        elif fake.status != 200 or self.headers["authorization"] != "Bearer sk-test":
            error = {"error": {"message": "There is no such voice."}}
            self._send(fake.status, json.dumps(error).encode(), "application/json")
        elif len(body["text"]) > 4096:
            self._send(200, json.dumps(JOB).encode(), "application/json; charset=utf-8")
        else:
            self._send(200, SOUND, "audio/mpeg", missing=7 if fake.breaks else 0)

    def do_GET(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        fake.paths.append(self.path)
        if self.path == f"/v1/usage?request_id={CALL}":
            self._send(200, json.dumps({"data": [{"cost": "0.000005"}]}).encode(), "application/json")
        else:
            self._send(200, SOUND * 2, "audio/mpeg")

    def _send(self, status: int, body: bytes, media: str, missing: int = 0) -> None:
        self.send_response(status)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body) + missing))
        self.send_header("x-request-id", CALL)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def speak(server: FakeServer, *arguments: str) -> int:
    """Run the command; return its exit status."""
    return main(["speak", *arguments, "--url", server.base])


def test_the_sound_is_saved(server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the format's name where none is given, with the call's cost by its id."""
    assert speak(server, "Hello", "there.") == 0
    assert capsys.readouterr().out == "speech.mp3\n[0.000005 USD]\n"
    assert (tmp_path / "speech.mp3").read_bytes() == SOUND
    assert server.bodies == [{"text": "Hello there.", "format": "mp3", "model": "espeak-ng"}]
    assert speak(server, "Hi", "--json", "--out", "a.OPUS") == 0
    assert json.loads(capsys.readouterr().out) == {"file": "a.OPUS", "request_id": CALL, "cost": "0.000005"}
    assert {path.name for path in tmp_path.iterdir()} == {"speech.mp3", "a.OPUS"}


def test_a_file_has_the_format_of_its_ending(server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Opus comes in Ogg; an ending of another kind of sound is refused before anything is asked."""
    assert speak(server, "Hi", "-o", "a.ogg") == speak(server, "Hi", "-o", "a") == 0
    assert [body["format"] for body in server.bodies] == ["opus", "mp3"]
    capsys.readouterr()
    assert speak(server, "Hi", "-o", "a.m4a") == 1
    assert ".m4a is made: name a --format" in capsys.readouterr().err
    assert (len(server.bodies), (tmp_path / "a.m4a").exists()) == (2, False)
    assert speak(server, "Hi", "-o", "a.m4a", "--format", "aac") == 0


def test_what_is_asked_is_sent(server: FakeServer) -> None:
    """Options become the call's fields; a format that is named counts more than a file's ending."""
    options = ("--model", "tts-1", "--voice", "nova", "--language", "pl", "--speed", "1.5", "--format", "wav", "-o", "a.mp3")
    assert speak(server, "Cześć", *options) == 0
    assert server.bodies == [
        {"text": "Cześć", "format": "wav", "model": "tts-1", "voice": "nova", "language": "pl", "speed": 1.5}
    ]


def test_it_reads_and_writes_streams(
    server: FakeServer, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash is standard input or output; nothing but the sound goes there."""
    monkeypatch.setattr("sys.stdin", io.StringIO("From a file.\n"))
    assert speak(server, "-", "-o", "-", "--json") == 0
    assert capfdbinary.readouterr().out == SOUND
    assert server.bodies[0]["text"] == "From a file."
    assert list(tmp_path.iterdir()) == []


def test_a_long_text_is_a_job(server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is waited for and fetched."""
    link = f"{server.base}/files/1234567890123.mp3"
    server.states = [{"status": "processing"}, {"status": "success", "audio_url": link, "cost": "0.005"}]
    assert speak(server, "word " * 1000, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": "speech.mp3", "jobid": JOB["jobid"], "cost": "0.005"}
    assert (tmp_path / "speech.mp3").read_bytes() == SOUND * 2
    question = {"jobid": JOB["jobid"], "signature": JOB["signature"], "wait": 30}
    assert server.bodies[1:] == [question, question]
    assert server.paths == ["/api/texttospeech/", *2 * ["/api/texttospeech/jobs/"], "/files/1234567890123.mp3"]


@pytest.mark.parametrize(
    ("status", "breaks", "why"),
    [(400, False, "There is no such voice."), (200, True, "the speech broke off before its end")],
)
def test_what_goes_wrong_is_said_and_leaves_no_file(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, breaks: bool, why: str
) -> None:
    """Half a sound has no name of its own, and what was there stays."""
    (tmp_path / "speech.mp3").write_bytes(b"older")
    server.status, server.breaks = status, breaks
    assert speak(server, "Hello") == 1
    assert f"minitoolai: {why}" in capsys.readouterr().err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("speech.mp3", b"older")]


def test_a_job_that_fails_says_why(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """In its own words."""
    server.states = [{"status": "error", "message": "The engine broke."}]
    assert speak(server, "word " * 1000) == 1
    assert "minitoolai: The engine broke." in capsys.readouterr().err


def test_a_folder_that_is_not_there_costs_nothing(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """It is found before anything is asked."""
    assert speak(server, "Hello", "-o", "none/a.mp3") == 1
    assert "there is no folder" in capsys.readouterr().err
    assert server.paths == []


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """With the remedy."""
    assert main(["speak", "Hello", "--url", "http://127.0.0.1:9", "--key", "sk-x"]) == 1
    assert "is `minitoolai serve` running?" in capsys.readouterr().err
