"""OpenAI's transcriptions as published (https://platform.openai.com/docs/api-reference/audio/createTranscription): what is
refused, and a text that says how long the sound is for all else."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

from aiohttp import BodyPartReader, web

from minitoolai.children.sounds import milliseconds
from minitoolai.core.sound_header import sound_format
from minitoolai.core.sse import event
from tests.support.faithful_chat import Refusal

#: Formats of each model; the first streams nothing.
TRANSCRIPTION_MODELS = {
    "whisper-1": ("json", "text", "srt", "verbose_json", "vtt"),
    "gpt-4o-transcribe": ("json", "text"),
    "gpt-4o-mini-transcribe": ("json", "text"),
    "gpt-4o-transcribe-diarize": ("json", "text", "diarized_json"),
}
_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_FIELDS = {"model", "language", "prompt", "response_format", "temperature", "stream", "chunking_strategy"}
_LISTS = {"timestamp_granularities[]", "include[]"}
_MOST_BYTES = 25 * 1024 * 1024


async def form_of(request: web.Request) -> dict[str, Any]:
    """Return a form: texts by their fields, those of lists together, `file` as its name and its bytes."""
    found: dict[str, Any] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        name = str(part.name)
        if part.filename is not None:
            found[name] = {"name": part.filename, "bytes": bytes(await part.read())}
        elif name.endswith("[]"):
            found.setdefault(name, []).append(await part.text())
        else:
            assert name not in found, f"{name} came twice"
            found[name] = await part.text()
    return found


def transcribe(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a sound once it is written down: its text, its `duration`. Raises `Refusal`."""
    model, file = body.get("model"), body.get("file")
    if model not in TRANSCRIPTION_MODELS:
        raise Refusal(404, f"The model '{model}' does not exist.", code="model_not_found")
    for name in body.keys() - _FIELDS - _LISTS - {"file"}:
        raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if not isinstance(file, dict):
        raise Refusal(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    if file["name"].rpartition(".")[2] not in _ENDINGS or sound_format(file["bytes"]) is None:
        raise Refusal(400, f"Invalid file format. Supported formats: {list(_ENDINGS)}", param="file")
    if len(file["bytes"]) > _MOST_BYTES:
        raise Refusal(413, "Maximum content size limit (26214400) exceeded.")
    response_format = body.get("response_format", "json")
    if response_format not in TRANSCRIPTION_MODELS[model]:
        text = f"response_format '{response_format}' is not compatible with model '{model}'."
        raise Refusal(400, text, param="response_format", code="unsupported_value")
    if not 0 <= float(body.get("temperature", 0)) <= 1:
        raise Refusal(400, "Invalid value for 'temperature'.", param="temperature")
    if "timestamp_granularities[]" in body and response_format != "verbose_json":
        raise Refusal(400, "Timestamps need verbose_json.", param="timestamp_granularities")
    found = milliseconds(file["bytes"])
    text = f"Zażółć {found} ms of {file['name']} in {body.get('language', 'any language')}."
    return {"text": text, "duration": found / 1000}


def usage(body: dict[str, Any], duration: float) -> dict[str, Any]:
    """Return what a call is billed."""
    if body["model"] == "whisper-1":
        return {"type": "duration", "seconds": math.ceil(duration)}
    audio = math.ceil(duration * 10)
    details = {"text_tokens": 0, "audio_tokens": audio}
    counts = {"input_tokens": audio, "output_tokens": 9, "total_tokens": audio + 9}
    return {"type": "tokens", **counts, "input_token_details": details}


def whole(body: dict[str, Any], found: dict[str, Any]) -> web.Response:
    """Return the reply in the format that was asked for."""
    text, duration = found["text"], found["duration"]
    response_format = body.get("response_format", "json")
    if response_format == "text":
        return web.Response(text=text + "\n")
    if response_format == "srt":
        return web.Response(text=f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n")
    if response_format == "vtt":
        return web.Response(text=f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n")
    shown: dict[str, Any] = {"text": text, "usage": usage(body, duration)}
    if response_format == "verbose_json":
        words = [{"word": word, "start": 0.0, "end": duration} for word in text.split()]
        segment = {"id": 0, "seek": 0, "start": 0.0, "end": duration, "text": text, "tokens": [1], "temperature": 0.0,
                   "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}  # fmt: skip
        granular = {"words": words} if "word" in body.get("timestamp_granularities[]", []) else {"segments": [segment]}
        shown = {"task": "transcribe", "language": "polish", "duration": duration, **shown, **granular}
    if response_format == "diarized_json":
        segments = [{"type": "transcript.text.segment", "id": "seg_0", "start": 0, "end": 1, "text": text, "speaker": "A"}]
        shown = {**shown, "segments": segments}
    return web.json_response(shown)


async def reply(
    request: web.Request, body: dict[str, Any], found: dict[str, Any], pause_s: float = 0.0
) -> web.StreamResponse:
    """Send the reply, in events where they were asked for and the model writes them."""
    await asyncio.sleep(pause_s)
    if body.get("stream") != "true" or body["model"] == "whisper-1":
        return whole(body, found)
    stream = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await stream.prepare(request)
    for word in found["text"].split(" "):
        delta = word if word == found["text"].split(" ")[0] else f" {word}"
        await stream.write(event({"type": "transcript.text.delta", "delta": delta}))
        await asyncio.sleep(pause_s)
    done = {"type": "transcript.text.done", "text": found["text"], "usage": usage(body, found["duration"])}
    await stream.write(b"data: " + json.dumps(done).encode() + b"\n\n")
    await stream.write_eof()
    return stream
