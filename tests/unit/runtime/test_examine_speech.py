"""`minitoolai doctor` on speech: who speaks, and whether each engine has what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.runtime import catalogue, examine_engines
from minitoolai.runtime.examine import examine
from minitoolai.runtime.examine_engines import Finding
from minitoolai.runtime.settings import (
    EngineSettings,
    EspeakEngineSettings,
    JobsSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    PiperEngineSettings,
    ServerSettings,
    Settings,
)
from minitoolai.runtime.speech_packages import ESPEAK_PACKAGE, SHARED, missing, missing_for_espeak

SERVER = ServerSettings(port=0)
ESPEAK: dict[str, EngineSettings] = {"espeak": EspeakEngineSettings()}
CHATS: dict[str, EngineSettings] = {"chats": LlamaEngineSettings(model_path="/m")}


async def found(settings: Settings, folder: Path, subject: str) -> Finding:
    """Return what is found of one subject."""
    (finding,) = [each for each in await examine(settings, {}, folder) if each.subject == subject]
    return finding


@pytest.mark.parametrize(
    ("settings", "verdict", "text"),
    [
        (Settings(server=SERVER, engines=ESPEAK), "ok", "spoken by espeak"),
        (Settings(server=SERVER, engines=ESPEAK, jobs=JobsSettings(workers=0)), "warn", "long texts wait for other workers"),
        (Settings(server=SERVER, engines=CHATS, espeak="off"), "ok", "nothing is spoken"),
    ],
)
async def test_who_speaks(tmp_path: Path, settings: Settings, verdict: str, text: str) -> None:
    """The engines by name, and the remedy where nobody does, or nobody does long texts."""
    finding = await found(settings, tmp_path, "speech")
    assert (finding.verdict, text in finding.text) == (verdict, True), finding
    assert bool(finding.remedy) == (finding.text != "spoken by espeak")


@pytest.mark.parametrize(
    ("files", "engine", "verdict", "text"),
    [
        ((), PiperEngineSettings(model_path="{}/none"), "fail", "there is no voice"),
        ((), PiperEngineSettings(model_path="{}"), "fail", "there is no voice"),
        (("a.onnx",), PiperEngineSettings(model_path="{}/a.onnx"), "fail", "a.onnx lacks its .json"),
        (("a.onnx", "b.onnx", "b.onnx.json"), PiperEngineSettings(model_path="{}"), "warn", "a.onnx lacks its .json"),
        (("b.onnx", "b.onnx.json"), PiperEngineSettings(model_path="{}/b.onnx"), "ok", "Piper, 1 voice in"),
        (("voices-v1.0.bin",), KokoroEngineSettings(model_path="{}"), "fail", "there is no *.onnx"),
        (("k.onnx",), KokoroEngineSettings(model_path="{}"), "fail", "there is no voices*.bin"),
        (("k.onnx", "voices-v1.0.bin"), KokoroEngineSettings(model_path="{}"), "ok", "Kokoro"),
    ],
)
async def test_files_that_voices_need(
    tmp_path: Path, files: tuple[str, ...], engine: PiperEngineSettings | KokoroEngineSettings, verdict: str, text: str
) -> None:
    """What is not there is found before a call fails by it."""
    for name in files:
        (tmp_path / name).write_text("")
    there = type(engine)(model_path=engine.model_path.format(tmp_path))
    finding = await found(Settings(server=SERVER, engines={"v": there}), tmp_path, "engine v")
    assert (finding.verdict, text in finding.text) == (verdict, True), finding
    assert bool(finding.remedy) == (verdict != "ok")


@pytest.mark.parametrize(
    ("engine", "extra"),
    [
        (EspeakEngineSettings(), "minitoolai[espeak]"),
        (PiperEngineSettings(model_path="/v"), "minitoolai[piper]"),
        (KokoroEngineSettings(model_path="/k"), "minitoolai[kokoro]"),
    ],
)
async def test_packages_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineSettings, extra: str
) -> None:
    """With the extra that brings them."""
    monkeypatch.setattr(examine_engines, "missing", lambda _: "av")
    monkeypatch.setattr(examine_engines, "missing_for_espeak", lambda: "av")
    finding = await found(Settings(server=SERVER, engines={"v": engine}), tmp_path, "engine v")
    assert (finding.verdict, finding.text, extra in finding.remedy) == ("fail", "av is not installed", True)


async def test_where_it_is_not_installed_nothing_is_said_of_espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such engine then."""
    monkeypatch.setattr(catalogue.engines_of, "__defaults__", (lambda: False,))
    findings = await examine(Settings(server=SERVER), {}, tmp_path)
    assert "engine espeak" not in {each.subject for each in findings}
    (speech,) = [each for each in findings if each.subject == "speech"]
    assert "minitoolai[espeak]" in speech.remedy


@pytest.mark.parametrize(
    ("packages", "libraries", "lacking"),
    [
        ({*SHARED, ESPEAK_PACKAGE}, (), None),
        (SHARED, ("espeak-ng",), None),
        (SHARED, (), ESPEAK_PACKAGE),
        ({ESPEAK_PACKAGE, *SHARED[1:]}, (), SHARED[0]),
    ],
)
def test_what_espeak_needs(packages: set[str], libraries: tuple[str, ...], lacking: str | None) -> None:
    """Its library from the package or from the system, and what all need that speak."""
    assert missing_for_espeak(packages.__contains__, libraries.__contains__) == lacking
    assert missing(("a", "b"), {"a"}.__contains__) == "b"
