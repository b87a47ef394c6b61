"""Forms with files in them (multipart/form-data, RFC 7578): read as they come, each file kept once."""

from __future__ import annotations

import logging
from collections.abc import Set
from dataclasses import dataclass
from io import BytesIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from minitoolai.core.errors import InvalidValue, RequestTooLarge
from minitoolai.core.transcription_errors import FormExpected
from minitoolai.edge.exchange import Exchange, plain

#: Parts of a form at most: more than any route has fields.
MAX_PARTS = 30
#: Bytes of all fields that are no files, and of what stands around them and the files.
MAX_FIELDS_BYTES = 1024 * 1024
#: Headers of a part, and bytes of each.
MAX_PART_HEADERS, MAX_PART_HEADER_BYTES = 8, 4096

_WHY_CUT = "the form is cut off: its last boundary is missing. Send it whole."
#: The parser's own log says what its callers sent.
_SILENT = logging.Logger("forms", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Form:
    """A form."""

    #: The fields that are no files, in their order; a name may stand more than once.
    fields: tuple[tuple[str, str], ...]
    #: The files by their fields.
    files: dict[str, bytes]


async def read_form(exchange: Exchange, files: Set[str], most_file_bytes: int) -> Form:
    """Return the form in a request; `files`: its fields that are files.

    Raises `FormExpected` for a body of another kind, `InvalidValue` for one that is no form or has too much in it,
    `RequestTooLarge`, and `asyncio.CancelledError` when cut.
    """
    reader = FormReader(_boundary(exchange.header(b"content-type")), files, most_file_bytes)
    async for part in exchange.body(most_file_bytes + MAX_FIELDS_BYTES):
        reader.feed(part)
    return reader.end()


class FormReader:
    """Reads a form from its bytes, cut anywhere. Raises as `read_form`."""

    def __init__(self, boundary: bytes, files: Set[str], most_file_bytes: int) -> None:
        self._file_names = files
        self._most_file_bytes = most_file_bytes
        self._fields: list[tuple[str, str]] = []
        self._files: dict[str, bytes] = {}
        self._parts = 0
        #: Of the part under way: the header's name and value so far, its own name, and its bytes. `BytesIO` hands its
        #: buffer over without a copy.
        self._header, self._value = bytearray(), bytearray()
        self._name: str | None = None
        self._content = BytesIO()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._take_header,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._check_name,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )
        self._parser.logger = _SILENT

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        try:
            self._parser.write(data)
        except FormParserError:
            why = "it is no form that can be read. Let a library write it, as OpenAI's SDKs or `curl -F` do."
            raise InvalidValue(param="body", why=why) from None

    def end(self) -> Form:
        """Return the form."""
        if not self._ended:
            raise InvalidValue(param="body", why=_WHY_CUT)
        return Form(tuple(self._fields), self._files)

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidValue(param="body", why=f"the form has more than {MAX_PARTS} parts. Send fewer.")
        self._name, self._content = None, BytesIO()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode(errors="replace") or None
        self._header.clear()
        self._value.clear()

    def _check_name(self) -> None:
        if self._name is None:
            raise InvalidValue(param="body", why="a part of the form has no name. Name each in its Content-Disposition.")
        if self._name in self._files:
            raise InvalidValue(param=self._name, why="it is given more than once. Send one file.")

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        self._content.write(memoryview(data)[start:end])
        is_file = self._name in self._file_names
        if self._content.tell() > (self._most_file_bytes if is_file else MAX_FIELDS_BYTES):
            raise RequestTooLarge(limit=self._most_file_bytes if is_file else MAX_FIELDS_BYTES)

    def _end_part(self) -> None:
        assert self._name is not None
        content, self._content = self._content.getvalue(), BytesIO()
        if self._name in self._file_names:
            self._files[self._name] = content
            return
        try:
            self._fields.append((self._name, content.decode()))
        except UnicodeDecodeError:
            raise InvalidValue(param=plain(self._name), why="it is not UTF-8. Send text.") from None

    def _end(self) -> None:
        self._ended = True


def _boundary(media: str | None) -> bytes:
    """Return what stands between the parts of a form. Raises `FormExpected`, `InvalidValue`."""
    kind, options = parse_options_header(media)
    if kind != b"multipart/form-data":
        raise FormExpected(got=plain(kind.decode("latin-1")))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        why = "multipart/form-data needs a boundary of 1 to 70 characters. Let a library write the header."
        raise InvalidValue(param="content-type", why=why)
    return boundary
