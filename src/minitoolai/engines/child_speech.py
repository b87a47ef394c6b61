"""Speech by a child (`children/espeak`, `children/piper`, `children/kokoro`) behind its Unix socket: a connection is a call.

What its caller does not read keeps the child from sending more; that holds up no other call of the child's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

from minitoolai.core.catalog import SpeechModel
from minitoolai.core.child_wire import BadFrame, Frames
from minitoolai.core.errors import EngineRefusedRequest, InvalidValue, NoEngine, UpstreamError, UpstreamTimeout
from minitoolai.core.speech import SpeechRequest, Voice
from minitoolai.core.speech_wire import (
    MAX_FRAME_BYTES,
    ORDER_INVALID,
    Kind,
    SpeechOrder,
    VoicesOrder,
    characters_of,
    refusal_of,
    voices_of,
)
from minitoolai.engines.child_connection import ChildConnection, is_there

#: A piece of a text takes a second or two of arithmetic, on few cores with many callers half a minute.
BETWEEN_BYTES_S = 120.0
#: Seconds that a child may take to list its voices.
VOICES_S = 10.0
#: Seconds that its voices are remembered: a folder of them may be filled while it runs.
KEEP_VOICES_S = 60.0

log = logging.getLogger(__name__)


class ChildSpeech:
    """One child (`services.speech_ports.SpeechEngine`)."""

    #: No child of ours follows instructions in words.
    ignores = frozenset({"instructions"})

    def __init__(
        self, name: str, socket: str, *, parallel: int, total_s: float, between_bytes_s: float = BETWEEN_BYTES_S
    ) -> None:
        self.name = name
        self.parallel = parallel
        self.total_s = total_s
        self.between_bytes_s = between_bytes_s
        #: Path of the child's Unix socket.
        self._socket = socket
        self._voices: Sequence[Voice] | None = None
        #: Loop time until which they are remembered.
        self._voices_until = 0.0

    def check(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Refuse nothing: which voices there are, and what they can do, the child knows."""

    async def prove(self, model: SpeechModel, request: SpeechRequest) -> None:
        """Let the child begin, and no more; see `speech_ports.SpeechEngine.prove`."""
        try:
            reply = await self.open(model, request)
        except (NoEngine, UpstreamError, UpstreamTimeout):
            return
        reply.close()

    async def is_there(self) -> bool:
        """Whether the child has loaded its voices and takes calls."""
        return await is_there(self._socket)

    async def voices(self, model: SpeechModel) -> Sequence[Voice]:
        """Return the voices; see `speech_ports.SpeechEngine.voices`."""
        clock = asyncio.get_running_loop().time
        if self._voices is None or clock() >= self._voices_until:
            self._voices = await self._asked(model)
            self._voices_until = clock() + KEEP_VOICES_S
        return self._voices

    async def open(self, model: SpeechModel, request: SpeechRequest, *, urgent: bool = True) -> ChildSpeechReply:
        """Send the call and return once its sound begins; see `speech_ports.SpeechEngine.open`. `InvalidValue` names a
        field of `SpeechRequest`."""
        reply = ChildSpeechReply(self.name, model, await self._connected(model, SpeechOrder(request, urgent)), self._forget)
        try:
            async with asyncio.timeout(self.between_bytes_s):
                await reply.begin()
        except TimeoutError as error:
            reply.close()
            log.warning("engine %s did not answer in time", self.name)
            raise UpstreamTimeout(model=model.id) from error
        except BaseException:
            reply.close()
            raise
        return reply

    async def _asked(self, model: SpeechModel) -> list[Voice]:
        """Ask the child for its voices."""
        connection = await self._connected(model, VoicesOrder())
        try:
            async with asyncio.timeout(VOICES_S):
                kind, content = (await connection.read())[0]
            if kind is not Kind.VOICES:
                raise BadFrame(f"{kind.name} where voices were asked for")
            return voices_of(content)
        except (OSError, TimeoutError, BadFrame) as error:
            log.warning("engine %s does not list its voices: %s", self.name, type(error).__name__)
            raise UpstreamError(model=model.id) from error
        finally:
            connection.close()

    async def _connected(self, model: SpeechModel, order: SpeechOrder | VoicesOrder) -> ChildConnection[Kind]:
        try:
            return await ChildConnection.open(self._socket, model, Frames(Kind, MAX_FRAME_BYTES), order)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Forget the voices: in its next life the child may have others."""
        self._voices = None


class ChildSpeechReply:
    """The speech of one call as it comes (`services.speech_ports.SpeechReply`)."""

    def __init__(self, name: str, model: SpeechModel, connection: ChildConnection[Kind], broken: Callable[[], None]) -> None:
        """`broken` is told when the child breaks off."""
        self._name = name
        self._model = model
        self._connection = connection
        self._broken = broken
        #: Frames that came and were not looked at.
        self._frames: deque[tuple[Kind, bytes]] = deque()
        self._spoken = 0
        self._ended = False

    @property
    def spoken(self) -> int:
        """Characters of the text whose sound was read so far, whole pieces only."""
        return self._spoken

    async def begin(self) -> None:
        """Return when the first sound is there. Raises as `ChildSpeech.open`, but for a child that takes too long."""
        while not (first := [frame for frame in self._frames if frame[0] is not Kind.SPOKEN]):
            self._frames += await self._more()
        kind, content = first[0]
        if kind is Kind.REFUSED:
            raise self._refusal(content)
        if kind is Kind.FAILED and content == ORDER_INVALID:
            log.error("engine %s refuses an order", self._name)
            raise EngineRefusedRequest(model=self._model.id, where="")
        if kind is not Kind.AUDIO and kind is not Kind.END:
            self._fail(kind, content)

    async def read(self) -> bytes:
        """Return the next bytes of the sound file, b"" at its end. Raises `UpstreamError` when it breaks off."""
        while not (sound := self._taken()) and not self._ended:
            self._frames += await self._more()
        return sound

    def counted(self) -> None:
        """Nothing: characters are counted, not tokens."""

    def close(self) -> None:
        """Cut the connection: what is not spoken yet never is."""
        self._connection.close()

    def _taken(self) -> bytes:
        """Return the sound of the frames that came. Raises `UpstreamError`, once all sound before a failure was taken."""
        sound: list[bytes] = []
        while self._frames and not self._ended:
            kind, content = self._frames[0]
            match kind:
                case Kind.AUDIO:
                    sound.append(content)
                case Kind.SPOKEN:
                    self._spoken = self._count(content)
                case Kind.END:
                    self._ended = True
                case _ if sound:
                    break
                case _:
                    self._fail(kind, content)
            self._frames.popleft()
        return b"".join(sound)

    async def _more(self) -> list[tuple[Kind, bytes]]:
        try:
            return await self._connection.read()
        except (OSError, BadFrame) as error:
            self._break(error)

    def _count(self, content: bytes) -> int:
        try:
            return characters_of(content)
        except BadFrame as error:
            self._break(error)

    def _refusal(self, content: bytes) -> InvalidValue:
        try:
            refusal = refusal_of(content)
        except BadFrame as error:
            self._break(error)
        return InvalidValue(param=refusal.field, why=refusal.why)

    def _fail(self, kind: Kind, content: bytes) -> NoReturn:
        """Raise what a last frame other than `END` means in the middle of a call."""
        code = content.decode("ascii", "replace")[:60] if kind is Kind.FAILED else f"{kind.name} came"
        log.error("engine %s failed to speak: %s", self._name, code)
        raise UpstreamError(model=self._model.id)

    def _break(self, error: Exception) -> NoReturn:
        log.warning("engine %s broke off: %s", self._name, type(error).__name__)
        self._broken()
        raise UpstreamError(model=self._model.id) from error
