"""Where files are kept: one list of promises, for a folder, a real S3 server, and the fake that other tests use."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitoolai.core.picture_errors import StorageUnavailable
from minitoolai.services.job_ports import Blobs
from minitoolai.storage.blobs import open_blobs
from tests.support.blobs import FakeBlobs
from tests.support.object_stores import S3Server, s3_server

NAME = "pictures/2026-11-25/1234567890-1.png"
PNG = "image/png"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for the tests of this module."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", "s3", "s3 with a prefix", "fake"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A store with nothing in it."""
    if request.param == "fake":
        return FakeBlobs()
    if request.param == "folder":
        return open_blobs(None, tmp_path, {})
    server: S3Server = request.getfixturevalue("s3")
    prefix = "/some/prefix" if "prefix" in request.param else ""
    return open_blobs(f"s3://{server.bucket()}{prefix}", tmp_path, server.environment)


async def test_what_was_put_is_got(blobs: Blobs) -> None:
    """Byte for byte, as a whole, in parts, and its size."""
    data = bytes(range(256)) * 5000
    await blobs.put(NAME, data, PNG)
    assert await blobs.get(NAME) == data
    assert await blobs.size(NAME) == len(data)
    assert await blobs.get_range(NAME, 0, len(data)) == data
    assert await blobs.get_range(NAME, 1000, 1001) == data[1000:1001]
    assert await blobs.get_range(NAME, len(data) - 3, len(data)) == data[-3:]


@pytest.mark.parametrize("size", [1, 20_000_000])
async def test_what_is_in_a_file_is_got(blobs: Blobs, tmp_path: Path, size: int) -> None:
    """Byte for byte, however many parts it goes in; a later one counts."""
    source, data = tmp_path / "source", bytes(range(251)) * (size // 251 + 1)
    for content in (b"earlier", data):
        source.write_bytes(content)
        await blobs.put_file(NAME, source, PNG)
    assert await blobs.size(NAME) == len(data)
    assert hashlib.sha256(await blobs.get(NAME) or b"").digest() == hashlib.sha256(data).digest()
    assert await blobs.list_before("pictures", "2026-11-26", 10) == [NAME]


async def test_what_is_not_there_is_none(blobs: Blobs) -> None:
    """No failure: a file may have been deleted a moment ago."""
    assert await blobs.get(NAME) is None
    assert await blobs.get_range(NAME, 0, 1) is None
    assert await blobs.size(NAME) is None
    await blobs.delete([NAME, NAME])
    await blobs.delete([])


async def test_a_file_may_be_put_again(blobs: Blobs) -> None:
    """The later one counts: a worker repeats what it could not be sure of."""
    await blobs.put(NAME, b"first", PNG)
    await blobs.put(NAME, b"second", PNG)
    assert await blobs.get(NAME) == b"second"


async def test_files_are_deleted(blobs: Blobs) -> None:
    """Those that are named, and no other; one that is not there keeps none of them."""
    names = [f"pictures/2026-11-25/{number}.png" for number in range(5)]
    for name in names:
        await blobs.put(name, name.encode(), PNG)
    await blobs.delete(["pictures/2026-11-24/none.png", *names[:3]])
    assert [await blobs.get(name) for name in names] == [None, None, None, names[3].encode(), names[4].encode()]
    await blobs.delete(names)
    assert await blobs.list_before("pictures", "2026-11-26", 10) == []
    await blobs.put(names[0], b"again", PNG)
    assert await blobs.get(names[0]) == b"again"


async def test_names_are_listed_by_day(blobs: Blobs) -> None:
    """Earlier days than the one named, the oldest first, so many at most, and nothing of another prefix."""
    days = {f"2026-11-{day}": {f"pictures/2026-11-{day}/{n}-1.png" for n in range(3)} for day in (25, 19, 22)}
    others = ["pictures/2026-11-26/1-1.png", "speech/2026-11-19/1-1.mp3", "pictures-2/2026-11-19/1-1.png"]
    for name in [*others, *(name for names in days.values() for name in names)]:
        await blobs.put(name, b"x", PNG)
    found = await blobs.list_before("pictures", "2026-11-26", 100)
    assert [set(found[at : at + 3]) for at in (0, 3, 6)] == [days["2026-11-19"], days["2026-11-22"], days["2026-11-25"]]
    assert len(found) == 9
    assert set(await blobs.list_before("pictures", "2026-11-22", 100)) == days["2026-11-19"]
    assert await blobs.list_before("pictures", "2026-11-19", 100) == []
    assert set(await blobs.list_before("pictures", "2026-11-26", 3)) == days["2026-11-19"]
    assert len(await blobs.list_before("pictures", "2026-11-26", 4)) == 4
    assert await blobs.list_before("nothing", "2026-11-26", 4) == []


async def test_many_at_once(blobs: Blobs) -> None:
    """Calls side by side do not get into each other's way."""
    contents = {f"pictures/2026-11-{10 + n % 3}/{n}.png": hashlib.sha256(b"%d" % n).digest() * 1000 for n in range(24)}
    await asyncio.gather(*(blobs.put(name, data, PNG) for name, data in contents.items()))
    got = await asyncio.gather(*(blobs.get(name) for name in contents))
    assert got == list(contents.values())


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../up.png",
        "a/../b",
        "a//b",
        "a/",
        ".incoming/x",
        "a/.b",
        "A.png",
        "ą.png",
        "a b",
        "a#1",
        "a" * 201,
    ],
)
async def test_what_is_no_name_is_refused(blobs: Blobs, name: str) -> None:
    """Names are made by the server; whatever else comes is a fault, found before the store is asked."""
    with pytest.raises(ValueError, match="no name"):
        await blobs.put(name, b"x", PNG)
    with pytest.raises(ValueError, match="no name"):
        await blobs.put_file(name, Path("/dev/null"), PNG)
    for refused in (
        blobs.get(name),
        blobs.get_range(name, 0, 1),
        blobs.size(name),
        blobs.list_before(name, "2026-11-25", 1),
    ):
        with pytest.raises(ValueError, match="no name"):
            await refused
    with pytest.raises(ValueError, match="no name"):
        await blobs.delete([NAME, name])


async def test_a_store_that_is_away_is_no_missing_file(tmp_path: Path) -> None:
    """Every call fails with the error that callers are told to wait for."""
    with s3_server(tmp_path) as server:
        blobs = open_blobs(f"s3://{server.bucket()}", tmp_path, server.environment)
        await blobs.put(NAME, b"x", PNG)
        server.stop()
        source = tmp_path / "source"
        source.write_bytes(bytes(10_000_000))
        for call in (
            blobs.put_file(NAME, source, PNG), blobs.put(NAME, b"x", PNG), blobs.get(NAME),
            blobs.get_range(NAME, 0, 1), blobs.size(NAME),
            blobs.delete([NAME]), blobs.list_before("pictures", "2026-11-26", 1),
        ):  # fmt: skip
            with pytest.raises(StorageUnavailable) as raised:
                await call
            assert raised.value.retry_after_s


async def test_a_bucket_that_is_not_there_takes_nothing(
    s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The picture is not lost unseen: the call fails, and the log says why."""
    blobs = open_blobs("s3://no-such-bucket", tmp_path, s3.environment)
    with pytest.raises(StorageUnavailable):
        await blobs.put(NAME, b"x", PNG)
    assert "files cannot be written" in caplog.text
    assert "NoSuchBucket" in caplog.text or "404" in caplog.text or "not found" in caplog.text


async def test_the_media_type_is_kept_with_the_object(s3: S3Server, tmp_path: Path) -> None:
    """An operator who looks into the bucket sees pictures."""
    bucket = s3.bucket()
    await open_blobs(f"s3://{bucket}/prefix", tmp_path, s3.environment).put(NAME, b"x", PNG)
    found = await s3.client(bucket).get_async(f"prefix/{NAME}")
    assert found.attributes["Content-Type"] == PNG
