"""`minitoolai doctor` on pictures: who draws them, and where they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.runtime import examine as module
from minitoolai.runtime.examine import examine
from minitoolai.runtime.examine_engines import Finding
from minitoolai.runtime.settings import JobsSettings, OnnxEngineSettings, ServerSettings, Settings, StorageSettings
from tests.support.blobs import FakeBlobs

SANDBOX = Settings(server=ServerSettings(port=0))
NONE = Settings(server=ServerSettings(port=0), engines={"sd": OnnxEngineSettings(model_path="/none")})


async def found(settings: Settings, folder: Path, subject: str) -> Finding:
    """Return what is found of one subject."""
    (finding,) = [each for each in await examine(settings, {}, folder) if each.subject == subject]
    return finding


@pytest.mark.parametrize(
    ("settings", "verdict", "text"),
    [
        (SANDBOX, "ok", "1 worker beside the server, drawing with starter-pictures"),
        (Settings(server=SANDBOX.server, jobs=JobsSettings(workers=2)), "ok", "2 workers beside the server"),
        (Settings(server=SANDBOX.server, jobs=JobsSettings(workers=0)), "warn", "no worker starts here"),
        (NONE, "ok", "no picture model has an engine"),
    ],
)
async def test_who_draws(tmp_path: Path, settings: Settings, verdict: str, text: str) -> None:
    """The engines by name, and the remedy where nobody does."""
    finding = await found(settings, tmp_path, "pictures")
    assert (finding.verdict, text in finding.text) == (verdict, True), finding
    assert bool(finding.remedy) == (" beside the server" not in finding.text)


async def test_an_engine_that_lacks_its_model(tmp_path: Path) -> None:
    """Is found before a job fails by it."""
    finding = await found(NONE, tmp_path, "engine sd")
    assert finding.verdict == "fail"
    assert "model_index.json" in finding.text


@pytest.mark.parametrize(
    ("url", "verdict", "text"),
    [
        (None, "ok", "pictures and speech are kept in"),
        ("file://{folder}/there", "ok", "pictures and speech are kept in"),
        ("file://{folder}/new", "ok", "is not there yet"),
        ("ftp://{folder}", "fail", "storage.url"),
        ("file://{folder}/a-file/below", "ok", "is not there yet"),
    ],
)
async def test_where_they_are_kept(tmp_path: Path, url: str | None, verdict: str, text: str) -> None:
    """The store is asked, and nothing is made."""
    (tmp_path / "there").mkdir()
    (tmp_path / "a-file").write_text("")
    storage = StorageSettings(url=url and url.format(folder=tmp_path))
    finding = await found(Settings(server=SANDBOX.server, storage=storage), tmp_path, "files")
    assert (finding.verdict, text in finding.text) == (verdict, True), finding
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "files").exists()


async def test_a_store_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to look at."""
    blobs = FakeBlobs()
    blobs.failure = StorageUnavailable()
    monkeypatch.setattr(module, "open_blobs", lambda *_: blobs)
    finding = await found(Settings(server=SANDBOX.server, storage=StorageSettings(url="s3://bucket")), tmp_path, "files")
    assert (finding.verdict, "does not answer" in finding.text) == ("fail", True)
