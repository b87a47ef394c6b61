"""`storage.url`: which store it means, and what is wrong with one that means none."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.storage.blobs import open_blobs
from minitoolai.storage.folder_blobs import FolderBlobs
from minitoolai.storage.object_blobs import ObjectBlobs

S3 = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}


def test_without_a_url_it_is_the_data_folder(tmp_path: Path) -> None:
    """In `files`, for this user alone."""
    assert isinstance(open_blobs(None, tmp_path, {}), FolderBlobs)
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700


def test_a_folder_by_its_url(tmp_path: Path) -> None:
    """Made with the folders above it; spaces come percent-encoded."""
    assert isinstance(open_blobs(f"file://{tmp_path}/a/my%20files", Path("/nonexistent"), {}), FolderBlobs)
    assert (tmp_path / "a" / "my files").is_dir()


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("s3://bucket", S3),
        ("s3://bucket/some/prefix", {**S3, "AWS_PROFILE": "x", "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": ""}),
        ("s3://bucket", {**S3, "AWS_ENDPOINT_URL": "https://minio.example.com", "AWS_ENDPOINT_URL_DYNAMODB": "x"}),
        ("az://container/prefix", AZURE),
        ("abfss://container@account.dfs.core.windows.net/prefix", AZURE),
        ("gs://bucket/prefix", {"GOOGLE_SKIP_SIGNATURE": "true", "GOOGLE_CLOUD_PROJECT": "x"}),
    ],
)
def test_object_stores(url: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Of every kind, with the variables that others know too; what a store does not take is left out."""
    found = open_blobs(url, tmp_path, environment)
    assert isinstance(found, ObjectBlobs)
    assert not isinstance(found, FolderBlobs)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "environment", "remedy"),
    [
        ("pictures", {}, "write s3://bucket/prefix"),
        ("/srv/pictures", {}, "file:///folder"),
        ("", {}, "write s3://bucket/prefix"),
        ("https://bucket.s3.amazonaws.com/", {}, "write s3://bucket/prefix"),
        ("memory:///", {}, "write s3://bucket/prefix"),
        ("s3://", S3, "write s3://bucket/prefix"),
        ("s3:///prefix", S3, "write s3://bucket/prefix"),
        ("s3://[bucket", S3, "is no URL"),
        ("s3://key:secret@bucket/", S3, "variables"),
        ("s3://bucket?region=eu-central-1", S3, "AWS_REGION"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": "a"}, "SecretAccessKey"),
        ("s3://bucket", {**S3, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "maybe"}, "maybe"),
        ("az://container", {}, "Account"),
        ("file://host/folder", {}, "file:///folder"),
        ("file:///", {}, "file:///folder"),
        ("file:folder", {}, "file:///folder"),
    ],
)
def test_what_names_no_store_is_refused(url: str, environment: dict[str, str], remedy: str, tmp_path: Path) -> None:
    """With the setting's name, and what to do."""
    with pytest.raises(ConfigInvalid) as raised:
        open_blobs(url, tmp_path, environment)
    assert raised.value.message.startswith("storage.url: ")
    assert remedy in raised.value.message
    assert "secret@" not in raised.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """With its path and the reason."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigInvalid, match=r"storage\.url: the folder .*/file/files cannot be used \(Not a directory\)"):
        open_blobs(f"file://{tmp_path}/file/files", tmp_path, {})
