"""`minitoolai models pull`, from a mirror on this machine, and the voices that come of it."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minitoolai.cli.main import main
from minitoolai.integrations.downloads import Wanted
from minitoolai.runtime.config import load_settings
from minitoolai.runtime.voices_to_pull import KOKORO_URL, PIPER_URL, PIPER_VOICES, NoSuchVoice, to_pull

VOICE = "pl_PL-gosia-medium"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The base URL of a copy that has one voice and Kokoro's files."""
    place = tmp_path / "mirror" / "pl" / "pl_PL" / "gosia" / "medium"
    place.mkdir(parents=True)
    (place / f"{VOICE}.onnx").write_bytes(b"weights")
    (place / f"{VOICE}.onnx.json").write_bytes(b"{}")
    (tmp_path / "mirror" / "kokoro-v1.0.onnx").write_bytes(b"kokoro")
    (tmp_path / "mirror" / "voices-v1.0.bin").write_bytes(b"voices")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path / "mirror"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def pull(tmp_path: Path, *arguments: str) -> int:
    """Run the command over a data folder of the test's own; return its exit status."""
    return main(["models", "pull", *arguments, "--data-dir", str(tmp_path / "data")])


def test_voices_are_fetched(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into a folder for each engine; what is printed are settings that the program takes."""
    assert pull(tmp_path, VOICE, "kokoro", "--base-url", mirror) == 0
    models = tmp_path / "data" / "models"
    found = {str(path.relative_to(models)): path.read_bytes() for path in models.rglob("*") if path.is_file()}
    assert found == {
        f"piper/{VOICE}.onnx": b"weights",
        f"piper/{VOICE}.onnx.json": b"{}",
        "kokoro/kokoro-v1.0.onnx": b"kokoro",
        "kokoro/voices-v1.0.bin": b"voices",
    }
    out, err = capsys.readouterr()
    assert f"{VOICE}.onnx: 100 %" in err
    settings = out[out.index("[engines.") :]
    file = tmp_path / "minitoolai.toml"
    file.write_text(settings)
    assert tomllib.loads(settings)["engines"]["piper"]["model_path"] == str(models / "piper")
    assert set(load_settings({}, file).engines) == {"piper", "kokoro"}


def test_as_json(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs; a second time nothing is fetched."""
    for _ in range(2):
        assert pull(tmp_path, VOICE, "--base-url", mirror, "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        folder = str(tmp_path / "data" / "models" / "piper")
        assert shown == [{"name": VOICE, "kind": "piper", "model_path": folder, "bytes": 9}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "--list"), (("nobody",), "no files known for 'nobody'"), (("en_US-nobody-low",), "no such file")],
)
def test_what_cannot_be_fetched(
    mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """Status 1 and what to do; nothing is left."""
    assert pull(tmp_path, *arguments, "--base-url", mirror) == 1
    assert words in capsys.readouterr().err
    assert not [path for path in tmp_path.joinpath("data").rglob("*") if path.is_file()]


def test_a_mirror_has_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the web."""
    assert main(["models", "pull", VOICE, "--base-url", "ftp://a.test", "--data-dir", str(tmp_path)]) == 1
    assert "https://" in capsys.readouterr().err


def test_some_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of them has a place, by the name itself."""
    assert pull(tmp_path, "--list") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("kokoro", *PIPER_VOICES))
    assert all(to_pull(name, tmp_path).kind == "piper" for name in PIPER_VOICES)


def test_where_they_are_published(tmp_path: Path) -> None:
    """Piper's names say their folders; Kokoro's files lie in one."""
    place = tmp_path / "piper"
    assert to_pull("en_GB-northern_english_male-x_low", tmp_path).files[1] == Wanted(
        f"{PIPER_URL}/en/en_GB/northern_english_male/x_low/en_GB-northern_english_male-x_low.onnx",
        place / "en_GB-northern_english_male-x_low.onnx",
    )
    assert [file.url for file in to_pull("kokoro", tmp_path).files] == [
        f"{KOKORO_URL}/kokoro-v1.0.onnx",
        f"{KOKORO_URL}/voices-v1.0.bin",
    ]
    for name in ("", "pl_PL", "pl_PL-../x-medium", "pl_PL-a-huge", "PL_pl-a-low", "pl_PL-a/b-low"):
        with pytest.raises(NoSuchVoice):
            to_pull(name, tmp_path)
