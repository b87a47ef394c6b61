"""Looks at one engine for `minitoolai doctor`: its packages, its files, or whether it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from minitoolai.runtime.settings import (
    EngineSettings,
    EspeakEngineSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
)
from minitoolai.runtime.speech_packages import KOKORO, PIPER, has_package, missing, missing_for_espeak

_TIMEOUT = aiohttp.ClientTimeout(total=5)

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""


async def examine_engine(name: str, engine: EngineSettings, environment: Mapping[str, str]) -> Finding:
    """Return what is found of an engine; nothing is changed."""
    if isinstance(engine, LlamaEngineSettings):
        return _llama(name, engine)
    if isinstance(engine, OnnxEngineSettings):
        return _onnx(name, engine)
    if isinstance(engine, EspeakEngineSettings):
        return _espeak(name)
    if isinstance(engine, PiperEngineSettings):
        return _piper(name, engine)
    if isinstance(engine, KokoroEngineSettings):
        return _kokoro(name, engine)
    return await _upstream(name, engine, environment)


def _llama(name: str, engine: LlamaEngineSettings) -> Finding:
    subject = f"engine {name}"
    if not has_package("xllamacpp"):
        return Finding(subject, "fail", "llama.cpp is not installed", "pip install 'minitoolai[llama]'")
    if not Path(engine.model_path).is_file():
        return Finding(subject, "fail", f"there is no file {engine.model_path}", "Correct model_path.")
    if engine.mmproj_path is None:
        return Finding(subject, "ok", f"llama.cpp, {engine.model_path}")
    if not Path(engine.mmproj_path).is_file():
        return Finding(subject, "fail", f"there is no file {engine.mmproj_path}", "Correct mmproj_path.")
    return Finding(subject, "ok", f"llama.cpp, {engine.model_path}, with sight by {engine.mmproj_path}")


def _onnx(name: str, engine: OnnxEngineSettings) -> Finding:
    subject = f"engine {name}"
    lacking = missing(("onnxruntime", "tokenizers", "numpy"))
    if lacking is not None:
        return Finding(subject, "fail", f"{lacking} is not installed", "pip install 'minitoolai[onnx]'")
    if not (Path(engine.model_path) / "model_index.json").is_file():
        why = f"there is no model_index.json in {engine.model_path}"
        return Finding(subject, "fail", why, "Correct model_path: the folder that an export to ONNX wrote.")
    return Finding(subject, "ok", f"onnxruntime, {engine.model_path}")


def _espeak(name: str) -> Finding:
    subject = f"engine {name}"
    lacking = missing_for_espeak()
    if lacking is not None:
        remedy = "pip install 'minitoolai[espeak]', or the system's package of libespeak-ng"
        return Finding(subject, "fail", f"{lacking} is not installed", remedy)
    return Finding(subject, "ok", "espeak-ng")


def _piper(name: str, engine: PiperEngineSettings) -> Finding:
    subject = f"engine {name}"
    lacking = missing(PIPER)
    if lacking is not None:
        return Finding(subject, "fail", f"{lacking} is not installed", "pip install 'minitoolai[piper]'")
    path = Path(engine.model_path)
    voices = [path] if path.is_file() else sorted(path.glob("*.onnx"))
    remedy = "Correct model_path, or fetch voices: minitoolai models pull."
    if not voices:
        return Finding(subject, "fail", f"there is no voice {path}, nor any in it", remedy)
    alone = [voice for voice in voices if not voice.with_name(f"{voice.name}.json").is_file()]
    if alone:
        return Finding(subject, "fail" if len(alone) == len(voices) else "warn", f"{alone[0]} lacks its .json", remedy)
    return Finding(subject, "ok", f"Piper, {len(voices)} voice{'s' if len(voices) > 1 else ''} in {path}")


def _kokoro(name: str, engine: KokoroEngineSettings) -> Finding:
    subject = f"engine {name}"
    lacking = missing(KOKORO)
    if lacking is not None:
        return Finding(subject, "fail", f"{lacking} is not installed", "pip install 'minitoolai[kokoro]'")
    for pattern in ("*.onnx", "voices*.bin"):
        if not any(Path(engine.model_path).glob(pattern)):
            remedy = "Correct model_path, or fetch it: minitoolai models pull kokoro."
            return Finding(subject, "fail", f"there is no {pattern} in {engine.model_path}", remedy)
    return Finding(subject, "ok", f"Kokoro, {engine.model_path}")


async def _upstream(name: str, engine: OpenAIEngineSettings, environment: Mapping[str, str]) -> Finding:
    subject = f"engine {name}"
    if engine.api_key_env and not environment.get(engine.api_key_env):
        return Finding(subject, "fail", f"the variable {engine.api_key_env} is not set", "Export it with the key.")
    headers = {"authorization": f"Bearer {environment[engine.api_key_env]}"} if engine.api_key_env else {}
    url = engine.base_url.rstrip("/") + "/models"
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url, headers=headers) as reply:
            status = reply.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Finding(subject, "fail", f"does not answer ({type(error).__name__})", "Check base_url and the network.")
    if status in (401, 403):
        return Finding(subject, "fail", "refuses the key", f"Check the key in {engine.api_key_env or 'api_key_env'}.")
    return Finding(subject, "ok", f"answers at {engine.base_url}")
