"""`image_url` parts: what is taken, what is refused and with which path, and what of a body is no text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minitoolai.api.chat_request import OPENAI, chat_request
from minitoolai.api.image_parts import MAX_URL_CHARACTERS
from minitoolai.core import image_urls
from minitoolai.core.errors import ApiError, ImageTooLarge, InvalidImageUrl, InvalidValue
from minitoolai.core.image_urls import MAX_IMAGES
from minitoolai.core.inference import ChatRequest, ImageInput
from tests.support.pictures import as_url, gif_bomb, picture, png_bomb

PATH = "messages[1].content[1].image_url.url"
TEXT = {"type": "text", "text": "What's in this image?"}


def asked(*images: Any, role: str = "user") -> ChatRequest:
    """Return what becomes of a call with such `image_url` objects."""
    parts = [TEXT, *({"type": "image_url", "image_url": image} for image in images)]
    fields = {
        "model": "gpt-4o",
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": role, "content": parts, "tool_call_id": "c"}],
    }
    return chat_request(fields, len(json.dumps(fields)), OPENAI)[0]


def refused(error: type[ApiError], param: str, *images: Any, role: str = "user") -> str:
    """Assert that a call is refused, and return the message."""
    with pytest.raises(error) as caught:
        asked(*images, role=role)
    assert (type(caught.value), caught.value.param) == (error, param)
    return caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/image.jpg",
        "HTTPS://example.com",
        "https://example.com:8443/a?b=c#d",
        "https://zażółć.pl/gęś.png",
        "https://[2606:4700::1]/",
        "https://example.com/?email=a@b",
    ],
)
def test_urls(url: str) -> None:
    """An https URL is taken as it is; its size is not known."""
    assert asked({"url": url}).images == (ImageInput(PATH, url, "auto"),)


@pytest.mark.parametrize(("given", "read"), [("auto", "auto"), ("low", "low"), ("high", "high"), (None, "auto")])
def test_details(given: str | None, read: str) -> None:
    """All of OpenAI's values are taken; null is the same as nothing, and is not handed on."""
    request = asked({"url": "https://example.com/a.png", "detail": given})
    assert request.images[0].detail == read
    handed_on = request.body["messages"][1]["content"][1]["image_url"]
    assert handed_on == {"url": "https://example.com/a.png", **({"detail": given} if given else {})}


@pytest.mark.parametrize(
    ("kind", "said"), [("PNG", "png"), ("JPEG", "jpeg"), ("JPEG", "jpg"), ("GIF", "gif"), ("WEBP", "webp"), ("PNG", "WEBP")]
)
def test_pictures_inside(kind: str, said: str) -> None:
    """A picture inside a data: URL is taken in every format, whatever the URL calls it, and its size is known."""
    url = as_url(picture(kind, (61, 43)), said)
    assert asked({"url": url, "detail": "high"}).images == (ImageInput(PATH, url, "high", (61, 43)),)


def test_pictures_are_no_text() -> None:
    """The bytes of pictures do not count as those of text; those of URLs do."""
    small, large = as_url(picture()), as_url(picture("PNG", (500, 500), mode="L"))
    assert len(large) > len(small)
    assert asked({"url": small}).body_bytes == asked({"url": large}).body_bytes < 300
    assert asked({"url": small}, {"url": large}).body_bytes < 400
    assert asked({"url": "https://example.com/" + "a" * 500}).body_bytes > 700


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/a.png", "begins with http:"),
        ("ftp://example.com/a.png", "no https: or data: URL"),
        ("", "no https: or data: URL"),
        ("/image.png", "no https: or data: URL"),
        ("file:///etc/passwd", "no https: or data: URL"),
        ("https://", "no https: or data: URL"),
        ("https:///a.png", "no https: or data: URL"),
        ("https://user@example.com/", "a user or blanks"),
        ("https://user:secret@example.com/", "a user or blanks"),
        ("https://example.com\\@127.0.0.1/", "a user or blanks"),
        ("https://example.com/a b", "a user or blanks"),
        ("https://example.com/a\nb", "a user or blanks"),
        ("https://exam\tple.com/", "a user or blanks"),
        (" https://example.com/", "no https: or data: URL"),
        ("https://example.com/" + "a" * MAX_URL_CHARACTERS, "is longer than 8192 characters"),
        ("data:", "no data: URL of a png"),
        ("data:image/png,abc", "no data: URL of a png"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "no data: URL of a png"),
        ("data:text/html;base64,AAAA", "no data: URL of a png"),
        ("data:image/png;base64,", "holds no png"),
        ("data:image/png;base64,AAAA", "holds no png"),
        ("data:image/png;base64,AAA", "base64 is not valid"),
        ("data:image/png;base64,AA=A", "base64 is not valid"),
        ("data:image/png;base64,AAAA AAAA", "base64 is not valid"),
        ("data:image/png;base64,ąąąą", "base64 is not valid"),
        (as_url(picture("BMP")), "holds no png"),
        (as_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "holds no png"),
        (as_url(picture("PNG")[:20]), "holds no png"),
        (as_url(picture("PNG")) + "!", "base64 is not valid"),
    ],
)
def test_urls_that_are_refused(url: str, words: str) -> None:
    """The message says what is wrong and what to send, and shows nothing of the URL."""
    message = refused(InvalidImageUrl, PATH, {"url": url})
    assert words in message
    assert "Send an https URL" in message
    assert "secret" not in message


@pytest.mark.parametrize("data", [png_bomb(12_000, 12_000), gif_bomb(60_000, 60_000)])
def test_bombs_are_refused(data: bytes) -> None:
    """A small file that would be a huge picture is refused by its header."""
    assert "more than 51 million pixels" in refused(ImageTooLarge, PATH, {"url": as_url(data)})


def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of too many bytes is refused, before it is decoded and after."""
    url = as_url(picture("PNG", (400, 400)))
    size = len(picture("PNG", (400, 400)))
    monkeypatch.setattr(image_urls, "MAX_IMAGE_BYTES", size - 10)
    assert "MiB" in refused(ImageTooLarge, PATH, {"url": url})
    monkeypatch.setattr(image_urls, "MAX_IMAGE_BYTES", size - 1)
    refused(ImageTooLarge, PATH, {"url": url})
    monkeypatch.setattr(image_urls, "MAX_IMAGE_BYTES", size)
    assert asked({"url": url}).images[0].pixels == (400, 400)


@pytest.mark.parametrize(
    ("image", "param"),
    [
        ("https://example.com/a.png", "messages[1].content[1].image_url"),
        (None, "messages[1].content[1].image_url"),
        ({}, "messages[1].content[1].image_url.url"),
        ({"url": 5}, "messages[1].content[1].image_url.url"),
        ({"url": None}, "messages[1].content[1].image_url.url"),
        ({"url": "https://a.b/", "detail": "medium"}, "messages[1].content[1].image_url.detail"),
        ({"url": "https://a.b/", "detail": 1}, "messages[1].content[1].image_url.detail"),
    ],
)
def test_shapes_that_are_refused(image: Any, param: str) -> None:
    """An image is an object with a url, and a detail of OpenAI's or none."""
    refused(InvalidValue, param, image)


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_only_users_send_pictures(role: str) -> None:
    """Images stand in messages of users."""
    refused(InvalidValue, "messages[1].content[1]", {"url": "https://example.com/a.png"}, role=role)


def test_how_many() -> None:
    """As many as OpenAI takes, and not one more."""
    image = {"url": "https://example.com/a.png"}
    assert len(asked(*[image] * MAX_IMAGES).images) == MAX_IMAGES
    refused(InvalidValue, f"messages[1].content[{MAX_IMAGES + 1}]", *[image] * (MAX_IMAGES + 1))
