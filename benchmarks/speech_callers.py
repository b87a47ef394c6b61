"""Callers who have texts spoken: each its own connection, one call after another, with a clock for the first sound."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from minitoolai.core.speech import PCM_RATE

#: Bytes of a second of sound, of the formats whose bytes say how long they are: 64 kbit/s, and 16 bits a sample.
SECOND_BYTES = {"mp3": 8000, "pcm": 2 * PCM_RATE}
#: Seconds in which a call ends.
CALL_S = 60.0
#: Texts are made of these: 1 to 3 a call, 150 characters at a middling call.
SENTENCES = (
    "The train to the coast leaves at half past nine from the fourth platform.",
    "Your parcel has been handed to a neighbour, who will be at home until the evening.",
    "Please keep this receipt.",
    "On Monday the library opens at ten, and on Thursday it is closed for the whole day because of repairs.",
    "Nobody knew why the lighthouse had been dark for three nights in a row.",
    "The meeting was moved to room 214, since the large hall is being painted.",
    "Would you like to hear the weather for tomorrow as well?",
    "Rain is likely in the north, with a light wind from the west and fourteen degrees at noon.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in seconds."""

    #: By the clock `time.perf_counter`.
    ended: float
    #: To the first byte of the sound, the reply's headers not counted.
    first_s: float
    sound_s: float


class Callers:
    """So many callers of one server."""

    def __init__(self, port: int, key: str, callers: int, file_format: str, seed: int = 1) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        self._callers = callers
        self._format = file_format
        self._dice = random.Random(seed)

    async def run(self, seconds: float) -> list[list[Call]]:
        """Let them begin calls for so long, at least one each, the first ones all at once; return the calls of each.

        Raises `RuntimeError` where one is refused.
        """
        stop = time.perf_counter() + seconds
        return await asyncio.gather(*[self._caller(stop) for _ in range(self._callers)])

    async def _caller(self, stop: float) -> list[Call]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        calls: list[Call] = []
        try:
            while not calls or time.perf_counter() < stop:
                text = " ".join(self._dice.sample(SENTENCES, self._dice.randint(1, 3)))
                async with asyncio.timeout(CALL_S):
                    calls.append(await self._call(reader, writer, text))
        finally:
            writer.close()
        return calls

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> Call:
        body = json.dumps({"model": "espeak-ng", "text": text, "format": self._format}).encode()
        head = f"POST /api/texttospeech/ HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        sent = time.perf_counter()
        writer.write(head.encode() + body)
        reply = await reader.readuntil(b"\r\n\r\n")
        if not reply.startswith(b"HTTP/1.1 200 ") or b"chunked" not in reply.lower():
            raise RuntimeError(f"it answered {reply.decode(errors='replace')}")
        first = 0.0
        sound = 0
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(1)
            first = first or time.perf_counter()
            await reader.readexactly(size + 1)  # the rest, and the end of a line
            sound += size
        await reader.readuntil(b"\r\n")
        return Call(time.perf_counter(), first - sent, sound / SECOND_BYTES[self._format])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all are not above. Raises `ValueError` where there is none."""
    if not values:
        raise ValueError("no call ended: measure for a longer time")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
