"""Files by their links: signed, of one file, for a time; in full and in part; never as a page of the server."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from minitoolai.api.files import PIECE_BYTES, file_path
from minitoolai.core.errors import ApiError, DatabaseUnavailable
from minitoolai.core.jobs import StoredFile
from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.core.signatures import file_signature
from tests.support.blobs import FakeBlobs
from tests.support.clients import shows
from tests.unit.api.file_room import BLOB, DATA, JOB_ID, KEY, NOW_S, SIZE, Room


@pytest.fixture
def room() -> Room:
    """A server with one finished picture."""
    return Room()


def link(name: str = f"{JOB_ID}.png", *, e: object = NOW_S + 10, s: str | None = None, signed_e: int = NOW_S + 10) -> str:
    """Return a link; `e` as it is written, `s` of what was signed."""
    return f"/files/{name}?e={e}&s={s if s is not None else file_signature(KEY, name, signed_e)}"


def guarded(headers: Mapping[str, str]) -> None:
    """The headers are there that keep a reply from acting as a page of the server."""
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'; media-src 'self'"
    assert headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_link_gives_the_picture(room: Room) -> None:
    """Whole, as a PNG with its name, without a key."""
    reply = await room.ask()
    assert (reply.status, reply.body, reply.whole) == (200, DATA, True)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["content-disposition"] == f'inline; filename="{JOB_ID}.png"'
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["x-request-id"].startswith("req_")
    guarded(reply.headers)


async def test_a_browser_keeps_it_until_the_link_ends(room: Room) -> None:
    """To the second, and links of one hour are the same link."""
    path = file_path(KEY, JOB_ID, "png", NOW_S)
    expires_s = int(path.partition("e=")[2].partition("&")[0])
    assert 3600 < expires_s - NOW_S <= 7200
    assert (await room.ask()).headers["cache-control"] == f"private, max-age={expires_s - NOW_S}, immutable"
    assert file_path(KEY, JOB_ID, "png", NOW_S + 1800) == path
    assert file_path(KEY, JOB_ID, "png", NOW_S + 3600) != path
    room.now_s = expires_s - 0.5
    assert (await room.ask()).headers["cache-control"] == "private, max-age=1, immutable"
    room.now_s = expires_s
    assert (await room.ask()).status == 404


REFUSED = [
    link(e=NOW_S, signed_e=NOW_S),
    link(e=NOW_S + 11),
    link(e=f"0{NOW_S + 10}"),
    link(e=-1),
    link(e="1e12"),
    link(e=""),
    link(e="9" * 13),
    link(e="١٢"),
    link(s=""),
    link(s="x" * 22),
    link(s="ą" * 22),
    link(s=file_signature(bytes(32), f"{JOB_ID}.png", NOW_S + 10)),
    link() + "&s=x",
    link() + "&e=1",
    link() + "".join(f"&a{n}=" for n in range(30)),
    link(f"{JOB_ID + 1}.png", s=file_signature(KEY, f"{JOB_ID}.png", NOW_S + 10)),
    link(f"{JOB_ID}.jpg"),
    link(f"{JOB_ID}"),
    link("../pictures/2026-11-25/1234567890-1.png"),
    link(f"x/{JOB_ID}.png"),
    link("1" * 17 + ".png"),
    f"/files/{JOB_ID}.png",
    f"/files/{JOB_ID}.png?s=x",
    f"/files/{JOB_ID}.png?%",
]


@pytest.mark.parametrize("target", REFUSED)
async def test_a_link_that_does_not_hold(room: Room, target: str) -> None:
    """One answer, whatever is wrong with it, and nothing is looked up for it."""
    reply = await room.ask(target)
    shows(reply, 404, "not_found", "invalid_request_error", "expired", "Ask for the job again")
    assert reply.headers["cache-control"] == "no-store"
    guarded(reply.headers)
    assert room.files.asked == []
    assert room.blobs.asked == []


async def test_a_picture_that_is_gone_answers_as_a_link_that_does_not_hold(room: Room) -> None:
    """The job has none, or the store has lost it: the same body."""
    refused = await room.ask(REFUSED[0])
    room.blobs.files.clear()
    lost = await room.ask()
    room.files.kept.clear()
    forgotten = await room.ask()
    for reply in (lost, forgotten):
        assert (reply.status, reply.body) == (404, refused.body)
        assert reply.headers["cache-control"] == "no-store"
        guarded(reply.headers)


async def test_what_a_program_adds_to_a_link_is_left_alone(room: Room) -> None:
    """Many add parameters of their own to what is shared."""
    assert (await room.ask(file_path(KEY, JOB_ID, "png", NOW_S) + "&fbclid=1&utm_source=x&x")).body == DATA


async def test_only_the_head(room: Room) -> None:
    """As a GET, without the picture, for which the store need not be asked."""
    head, whole = await room.ask(method="HEAD", range="bytes=0-1"), await room.ask()
    assert (head.status, head.body) == (200, b"")
    assert {name: value for name, value in head.headers.items() if name != "x-request-id"} == {
        name: value for name, value in whole.headers.items() if name != "x-request-id"
    }
    assert [asked for asked, _ in room.blobs.asked] == ["get_range"] * 3
    assert (await room.ask(method="POST")).status == 405


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1-1048576", 1, PIECE_BYTES + 1),
        (f"bytes=10-{SIZE + 10}", 10, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE + 5}", 0, SIZE),
        ("Bytes= 5 - 9 ", 5, 10),
        ("bytes=5-999999999999999999", 5, SIZE),
    ],
)
async def test_a_part(room: Room, asked: str, start: int, end: int) -> None:
    """From a place to another, to the end, the last ones."""
    reply = await room.ask(range=asked)
    assert (reply.status, reply.body, reply.whole) == (206, DATA[start:end], True)
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert reply.headers["content-length"] == str(end - start)
    assert reply.headers["content-type"] == "image/png"
    guarded(reply.headers)


@pytest.mark.parametrize(
    "asked",
    ["bytes=-", "bytes=2-1", "bytes=0-1,3-4", "bytes=a-b", "items=0-1", "bytes=0-1x", "0-1", "", "bytes=1" + "0" * 30 + "-"],
)
async def test_what_is_no_range_is_left_alone(room: Room, asked: str) -> None:
    """And so are several: the whole picture comes."""
    reply = await room.ask(range=asked)
    assert (reply.status, reply.body) == (200, DATA)
    assert "content-range" not in reply.headers


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", "bytes=999999999999999999-"])
async def test_a_part_that_is_not_there(room: Room, asked: str) -> None:
    """416 with the size; the store is not asked."""
    reply = await room.ask(range=asked)
    assert (reply.status, reply.body, reply.whole) == (416, b"", True)
    assert reply.headers["content-range"] == f"bytes */{SIZE}"
    assert room.blobs.asked == []
    guarded(reply.headers)


async def test_who_has_it_is_told_so(room: Room) -> None:
    """By its tag, one of several, a weak one, any; with a new time to keep it, and without asking the store."""
    tag = (await room.ask()).headers["etag"]
    room.blobs.asked.clear()
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        for method in ("GET", "HEAD"):
            reply = await room.ask(method=method, if_none_match=known, range="bytes=0-1")
            assert (reply.status, reply.body, reply.whole) == (304, b"", True)
            assert reply.headers["etag"] == tag
            assert reply.headers["cache-control"].startswith("private, max-age=")
            assert "content-length" not in reply.headers
            guarded(reply.headers)
    assert room.blobs.asked == []
    assert (await room.ask(if_none_match='"x"')).body == DATA
    assert (await room.ask(REFUSED[0], if_none_match=tag)).status == 404


async def test_the_rest_of_another_picture_is_not_given(room: Room) -> None:
    """`If-Range` with the file's tag gives the part; with another, a weak one or a date, the whole."""
    tag = (await room.ask()).headers["etag"]
    assert (await room.ask(range="bytes=5-9", if_range=tag)).body == DATA[5:10]
    for other in ('"x"', f"W/{tag}", "Wed, 25 Nov 2026 00:00:00 GMT"):
        reply = await room.ask(range="bytes=5-9", if_range=other)
        assert (reply.status, reply.body) == (200, DATA)


async def test_another_attempts_picture_has_another_tag(room: Room) -> None:
    """The name of a blob stands for its bytes."""
    tag = (await room.ask()).headers["etag"]
    other = BLOB.replace("-1.png", "-2.png")
    room.blobs.files[other] = DATA
    room.files.kept[JOB_ID] = StoredFile(other, SIZE)
    assert (await room.ask()).headers["etag"] != tag


async def test_it_is_read_piece_by_piece(room: Room) -> None:
    """However large it is, a caller costs one piece of memory."""
    assert (await room.ask()).body == DATA
    assert room.blobs.asked == [("get_range", BLOB)] * 3


async def test_a_store_or_database_that_is_away(room: Room) -> None:
    """503 with the time to wait, not cached as missing, and as well guarded."""
    room.blobs.failure = StorageUnavailable(retry_after_s=5)
    reply = await room.ask()
    shows(reply, 503, "service_unavailable", "server_error", "store of files")
    assert reply.headers["retry-after"] == "5"
    assert "cache-control" not in reply.headers
    guarded(reply.headers)
    room.files.failure = DatabaseUnavailable(retry_after_s=2)
    shows(await room.ask(), 503, "service_unavailable", "server_error", "database")


async def test_other_methods_are_refused_as_guarded(room: Room) -> None:
    """Whatever is sent from below `/files/` is no page of this server."""
    reply = await room.ask(method="POST")
    shows(reply, 405, "method_not_allowed", "invalid_request_error", "Use GET")
    guarded(reply.headers)


class BreakingBlobs(FakeBlobs):
    """Gives the first piece of a file, and then `later`."""

    def __init__(self, later: bytes | ApiError | None) -> None:
        super().__init__()
        self._later = later

    async def get_range(self, name: str, start: int, end: int) -> bytes | None:
        """Return the first piece, or do as it was told."""
        if start and isinstance(self._later, ApiError):
            raise self._later
        return self._later if start and not isinstance(self._later, ApiError) else await super().get_range(name, start, end)


@pytest.mark.parametrize("later", [StorageUnavailable(retry_after_s=5), b"x", b"", None])
async def test_a_store_that_fails_midway_breaks_the_reply_off(later: bytes | ApiError | None) -> None:
    """What has begun never looks finished: the store went away, or the file shrank or vanished."""
    reply = await Room(BreakingBlobs(later)).ask()
    assert (reply.status, reply.body, reply.whole) == (200, DATA[:PIECE_BYTES], False)


async def test_a_file_of_another_size_is_not_begun(room: Room) -> None:
    """The store has not what was stored: a failure of ours, before any header."""
    room.blobs.files[BLOB] = DATA[:500]
    shows(await room.ask(), 503, "service_unavailable", "server_error")
