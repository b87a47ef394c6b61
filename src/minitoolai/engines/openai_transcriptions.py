"""Speech written down at any server that speaks OpenAI's: OpenAI, vLLM, speaches, whisper.cpp."""

from __future__ import annotations

from io import BytesIO

import aiohttp

from minitoolai.core.catalog import TranscriptionModel
from minitoolai.core.transcription import TranscriptionRequest
from minitoolai.engines.openai_upstream import OpenAIReply, OpenAIUpstream


class OpenAITranscriptions:
    """One upstream that writes down speech (`services.speech_ports.TranscriptionEngine`)."""

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self.name = upstream.name
        self.between_bytes_s = upstream.settings.between_bytes_s
        self.total_s = upstream.settings.total_s
        self._upstream = upstream

    def check(self, model: TranscriptionModel, request: TranscriptionRequest) -> None:
        """Nothing is known of it: it says itself what it does not do."""

    async def open(self, model: TranscriptionModel, request: TranscriptionRequest) -> OpenAIReply:
        """Send the call; return its reply once the headers are there. Errors: see `ports.ChatEngine.open`."""
        fields = [("model", model.upstream_id), ("response_format", request.response_format), *request.fields]
        if request.stream:
            fields.append(("stream", "true"))
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields:
            form.add_field(name, value)
        form.add_field("file", BytesIO(request.sound), filename=request.file_name, content_type="application/octet-stream")
        names = {"file", *(name.removesuffix("[]") for name, _ in fields)}
        return await self._upstream.post_form("/audio/transcriptions", model, form, names)
