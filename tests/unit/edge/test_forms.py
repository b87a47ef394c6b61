"""Forms are read from their bytes, cut anywhere; what is none, or too much, is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from minitoolai.core.errors import ApiError, InvalidValue, RequestTooLarge
from minitoolai.edge.exchange import Exchange
from minitoolai.edge.forms import MAX_FIELDS_BYTES, MAX_PART_HEADERS, MAX_PARTS, Form, FormReader, read_form

BOUNDARY = b"x7Yb"
FILES = frozenset({"file"})
SOUND = bytes(range(256)) * 20 + b"\r\n--x7Y\r\n--x7Yc\r\n\r\n-" + b"\r\n--x7Yb"[:6]


def part(head: bytes, content: bytes) -> bytes:
    """Return one part."""
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def named(name: str, content: bytes, more: str = "") -> bytes:
    """Return a part as clients write it."""
    return part(f'Content-Disposition: form-data; name="{name}"{more}'.encode(), content)


def form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def read(data: bytes, *, step: int = 65_536, most: int = 10_000) -> Form:
    """Read a form in pieces."""
    reader = FormReader(BOUNDARY, FILES, most)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return reader.end()


WHOLE = form(
    named("model", b"whisper-1"),
    named("file", SOUND, '; filename="a \\"b\\".mp3"\r\nContent-Type: audio/mpeg'),
    named("include[]", b"a"),
    named("prompt", "Zażółć\r\n--x7".encode()),
    named("include[]", b""),
)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 16, 61, 997, 65_536])
def test_cut_anywhere(step: int) -> None:
    """Fields in their order, the file to the byte, boundaries that are none in it."""
    found = read(WHOLE, step=step)
    assert found.fields == (
        ("model", "whisper-1"), ("include[]", "a"), ("prompt", "Zażółć\r\n--x7"), ("include[]", ""),
    )  # fmt: skip
    assert found.files == {"file": SOUND}


def test_a_file_needs_no_name() -> None:
    """Nor a type; its field says that it is one. Another field is text, whatever name it has."""
    found = read(
        form(
            named("file", b"a"),
            named("other", b"b", '; filename="b.mp3"'),
            part(b"content-disposition:form-data;name=c", b""),
        )
    )
    assert found == Form((("other", "b"), ("c", "")), {"file": b"a"})


def test_a_form_of_nothing() -> None:
    """It is one."""
    assert read(form()) == Form((), {})


@pytest.mark.parametrize(
    ("data", "param", "why"),
    [
        (b"", "body", "cut off"), (WHOLE[:-8], "body", "cut off"), (WHOLE[:100], "body", "cut off"),
        (b"model=whisper-1", "body", "no form"), (b"--other\r\n", "body", "no form"), (b"{}", "body", "no form"),
        (form(part(b"Content-Type: text/plain", b"a")), "body", "no name"),
        (form(part(b"Content-Disposition: form-data", b"a")), "body", "no name"),
        (form(part(b'Content-Disposition: form-data; name=""', b"a")), "body", "no name"),
        (form(part(b"no colon", b"a")), "body", "no form"), (form(part(b": x", b"a")), "body", "no form"),
        (form(part(b"a: " + b"b" * 5000, b"a")), "body", "no form"),
        (form(part(b"a: b\r\n" * MAX_PART_HEADERS + b"a: b", b"")), "body", "no form"),
        (form(named("file", b"a"), named("file", b"b")), "file", "more than once"),
        (form(named("prompt", b"\xff")), "prompt", "not UTF-8"), (form(named("a<b>\x00", b"\xff")), "ab", "not UTF-8"),
        (form(*[named("a", b"")] * (MAX_PARTS + 1)), "body", f"more than {MAX_PARTS}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 65_536])
def test_what_is_refused(data: bytes, param: str, why: str, step: int) -> None:
    """Each by the field at fault, or by the body."""
    with pytest.raises(InvalidValue, match=why) as caught:
        read(data, step=step)
    assert caught.value.param == param


def test_too_much() -> None:
    """Of a file, or of a field that is none; neither is read to its end."""
    assert read(form(named("file", bytes(10_000)))).files == {"file": bytes(10_000)}
    for parts, limit in (
        (named("file", bytes(10_001)), 10_000),
        (named("a", bytes(MAX_FIELDS_BYTES + 1)), MAX_FIELDS_BYTES),
    ):
        reader = FormReader(BOUNDARY, FILES, 10_000)
        with pytest.raises(RequestTooLarge) as caught:
            reader.feed(parts)
        assert caught.value.facts["limit"] == limit


def exchange(parts: Sequence[bytes], headers: Mapping[str, str]) -> Exchange:
    """A request whose body comes in parts."""
    messages = [{"type": "http.request", "body": each, "more_body": at < len(parts) - 1} for at, each in enumerate(parts)]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    async def send(_: object) -> None:
        raise AssertionError

    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Exchange({"type": "http", "method": "POST", "headers": told}, receive, send, "/x")


async def test_a_request() -> None:
    """The boundary is its header's, in quotes or without."""
    for boundary in ("x7Yb", '"x7Yb"', "x7Yb; charset=utf-8"):
        request = exchange([WHOLE[:50], b"", WHOLE[50:]], {"content-type": f"Multipart/Form-Data; boundary={boundary}"})
        assert (await read_form(request, FILES, 10_000)).files == {"file": SOUND}


@pytest.mark.parametrize(
    ("media", "code", "param"),
    [
        (None, "unsupported_media_type", None), ("application/json", "unsupported_media_type", None),
        ("application/x-www-form-urlencoded", "unsupported_media_type", None),
        ("multipart/mixed; boundary=x7Yb", "unsupported_media_type", None),
        ("multipart/form-data", "invalid_value", "content-type"),
        ("multipart/form-data; boundary=", "invalid_value", "content-type"),
        (f"multipart/form-data; boundary={'a' * 71}", "invalid_value", "content-type"),
    ],
)  # fmt: skip
async def test_a_request_of_another_kind(media: str | None, code: str, param: str | None) -> None:
    """Says what to send instead."""
    request = exchange([WHOLE], {} if media is None else {"content-type": media})
    with pytest.raises(ApiError) as caught:
        await read_form(request, FILES, 10_000)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert "multipart/form-data" in caught.value.message


async def test_a_request_that_is_too_large() -> None:
    """By what it says, or by what comes."""
    media = "multipart/form-data; boundary=x7Yb"
    announced = exchange([WHOLE], {"content-type": media, "content-length": str(10_001 + MAX_FIELDS_BYTES)})
    with pytest.raises(RequestTooLarge):
        await read_form(announced, FILES, 10_000)
    endless = exchange([form(*[named("a", bytes(MAX_FIELDS_BYTES))] * 2)], {"content-type": media})
    with pytest.raises(RequestTooLarge):
        await read_form(endless, FILES, 10_000)
