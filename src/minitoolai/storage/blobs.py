"""Where files are kept, by the setting `storage.url` (docs/operating/storage.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import from_url

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.services.job_ports import Blobs
from minitoolai.storage.folder_blobs import FolderBlobs
from minitoolai.storage.object_blobs import ObjectBlobs, said

if TYPE_CHECKING:  # they exist for type checkers only
    from obstore.store import ClientConfig, RetryConfig

#: Folder of the data folder that holds the files where no URL is set.
DEFAULT_FOLDER = "files"
#: Begin the names of variables that a store may need: a process that opens one is given them.
STORE_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_")

_SETTING = "storage.url"
_FORMS = "write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder"
#: A store on the same network answers a connect within milliseconds; beyond this it is away.
_CONNECT_TIMEOUT = timedelta(seconds=3)
#: The largest picture (7 MB) at 3 Mbit/s.
_REQUEST_TIMEOUT = timedelta(seconds=20)
#: A caller waits meanwhile: a store that fails longer is away.
_RETRY: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one kind of store takes from the environment."""

    #: Begins the names of its variables.
    prefix: str
    #: How they go on. `obstore` refuses names that it does not know, and other programs have some of their own.
    names: frozenset[str]


def _kind(prefix: str, *groups: str) -> _Kind:
    return _Kind(prefix, frozenset(" ".join(groups).split()))


_AZURE = _kind(
    "AZURE_",
    "STORAGE_ACCOUNT_NAME STORAGE_ACCOUNT_KEY STORAGE_ACCESS_KEY STORAGE_SAS_KEY STORAGE_SAS_TOKEN STORAGE_ENDPOINT",
    "STORAGE_CLIENT_ID STORAGE_CLIENT_SECRET STORAGE_TENANT_ID CLIENT_ID CLIENT_SECRET TENANT_ID ENDPOINT",
    "FEDERATED_TOKEN_FILE AUTHORITY_HOST STORAGE_USE_EMULATOR",
)
_KINDS: Mapping[str, _Kind] = {
    "s3": _kind(
        "AWS_",
        "ACCESS_KEY_ID SECRET_ACCESS_KEY SESSION_TOKEN REGION DEFAULT_REGION ENDPOINT ENDPOINT_URL ENDPOINT_URL_S3",
        "ENDPOINT_URL_STS VIRTUAL_HOSTED_STYLE_REQUEST CONTAINER_CREDENTIALS_RELATIVE_URI CONTAINER_CREDENTIALS_FULL_URI",
        "CONTAINER_AUTHORIZATION_TOKEN_FILE WEB_IDENTITY_TOKEN_FILE ROLE_ARN ROLE_SESSION_NAME METADATA_ENDPOINT",
        "IMDSV1_FALLBACK SERVER_SIDE_ENCRYPTION SSE_KMS_KEY_ID SSE_BUCKET_KEY_ENABLED UNSIGNED_PAYLOAD",
        "CHECKSUM_ALGORITHM DISABLE_BULK_DELETE REQUEST_PAYER",
    ),
    "gs": _kind(
        "GOOGLE_",
        "SERVICE_ACCOUNT SERVICE_ACCOUNT_PATH SERVICE_ACCOUNT_KEY APPLICATION_CREDENTIALS BASE_URL SKIP_SIGNATURE",
    ),
    "az": _AZURE,
    "abfss": _AZURE,
}


def open_blobs(url: str | None, data_dir: Path, environment: Mapping[str, str]) -> Blobs:
    """Return the store at `url`; None: the folder `files` in `data_dir`.

    An object store is not asked yet. `environment`: where its keys, endpoint and region are found.
    Raises `ConfigInvalid` naming the setting and the remedy.
    """
    if url is None:
        return _folder(data_dir / DEFAULT_FOLDER)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigInvalid(source=_SETTING, why=f"is no URL; {_FORMS}") from None
    if "@" in parts.netloc and parts.scheme != "abfss":
        why = "holds a password; name the store only, and set its keys as variables (AWS_ACCESS_KEY_ID, …)"
        raise ConfigInvalid(source=_SETTING, why=why)
    if parts.query or parts.fragment:
        why = (
            "has something behind a ? or #; set the store's endpoint and region as variables (AWS_ENDPOINT_URL, AWS_REGION)"
        )
        raise ConfigInvalid(source=_SETTING, why=why)
    if parts.scheme == "file":
        return _folder_of(parts)
    kind = _KINDS.get(parts.scheme)
    if kind is None or not parts.netloc:
        raise ConfigInvalid(source=_SETTING, why=f"'{url}' names no store; {_FORMS}")
    return _object_store(url, _taken(kind, environment))


def _folder_of(parts: SplitResult) -> Blobs:
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or path == Path("/"):
        raise ConfigInvalid(source=_SETTING, why="names no folder; write file:///folder, with the folder's whole path")
    return _folder(path)


def _folder(path: Path) -> Blobs:
    try:
        blobs = FolderBlobs(path)
    except (OSError, BaseError) as error:
        why = f"the folder {path} cannot be used ({said(error)}); let this user write it, or name another one"
        raise ConfigInvalid(source=_SETTING, why=why) from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        why = f"the folder {path} cannot be written; let this user write it, or name another one"
        raise ConfigInvalid(source=_SETTING, why=why)
    return blobs


def _taken(kind: _Kind, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment says of a store, under the names that `obstore` has for it."""
    names = sorted(f"{kind.prefix}{name}" for name in kind.names)
    return {name.lower(): environment[name] for name in names if environment.get(name)}


def _object_store(url: str, settings: Mapping[str, str]) -> Blobs:
    #: Without TLS only where the operator wrote so.
    plain = any(value.startswith("http://") for name, value in settings.items() if "endpoint" in name or "base_url" in name)
    client: ClientConfig = {"connect_timeout": _CONNECT_TIMEOUT, "timeout": _REQUEST_TIMEOUT, "allow_http": plain}
    config: Any = dict(settings)  # each kind of store has a type of its own for it
    try:
        return ObjectBlobs(from_url(url, config=config, client_options=client, retry_config=_RETRY))
    except (BaseError, ValueError) as error:
        why = f"'{url}' cannot be opened ({said(error)}); correct it, or the store's variables"
        raise ConfigInvalid(source=_SETTING, why=why) from None
