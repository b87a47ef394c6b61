"""Finding the settings: one TOML file, overridden by variables, checked whole, unknown keys refused by name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.edge.addresses import parse_networks
from minitoolai.runtime.model_settings import ModelSettings
from minitoolai.runtime.settings import (
    ESPEAK,
    DatabaseSettings,
    EspeakEngineSettings,
    JobsSettings,
    KokoroEngineSettings,
    LlamaEngineSettings,
    LogSettings,
    OnnxEngineSettings,
    OpenAIEngineSettings,
    PiperEngineSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    TelemetrySettings,
    known_keys,
)

#: Read from the working folder where no `--config` is given.
DEFAULT_FILE = "minitoolai.toml"
_PREFIX = "MINITOOLAI_"
#: Variables with the prefix that are not settings: they are read by commands.
_NOT_SETTINGS = frozenset({"MINITOOLAI_DATA_DIR", "MINITOOLAI_API_KEY", "MINITOOLAI_CONFIG"})
#: Ends the names of settings that hold an amount: exact text, never a binary fraction.
_PRICE = ("_usd_per_1m", "_usd_per_call", "usd_per_image", "usd_per_1m_characters", "usd_per_minute")
_ENGINES = {
    "openai": OpenAIEngineSettings,
    "llama": LlamaEngineSettings,
    "onnx": OnnxEngineSettings,
    "espeak": EspeakEngineSettings,
    "piper": PiperEngineSettings,
    "kokoro": KokoroEngineSettings,
}
_SECTIONS = {
    "server": ServerSettings,
    "database": DatabaseSettings,
    "storage": StorageSettings,
    "jobs": JobsSettings,
    "log": LogSettings,
    "telemetry": TelemetrySettings,
}
#: Settings under the names that other programs give them.
_KNOWN_ELSEWHERE = {"DATABASE_URL": ("database", "url"), "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint")}
#: As browsers write it: no path, no slash at the end.
_ORIGIN = re.compile(r"\*|https?://[a-z0-9.:\[\]-]+")
_PATH = re.compile(r" - at `\$\.?(.*)`$")


def load_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Return the settings in `file` (default: `minitoolai.toml`, where there is one) and `environment`.

    Raises `ConfigInvalid` naming the file or variable, the key and the remedy.
    """
    tree = _read(file)
    overridden = _override(tree, environment)
    source = str(file or DEFAULT_FILE) if tree and not overridden else f"{file or DEFAULT_FILE} and {_PREFIX}… variables"
    _check_keys(tree, source)
    try:
        settings = msgspec.convert(tree, Settings, strict=True)
    except msgspec.ValidationError as error:
        path = _PATH.search(str(error))
        where = path[1] if path else "settings"
        raise ConfigInvalid(source=source, why=f"{where}: {_PATH.sub('', str(error))}") from None
    _check_engines(settings, source)
    _check_origins(settings, source)
    parse_networks(settings.server.trusted_proxies, f"{source}: server.trusted_proxies")
    return settings


def data_dir(environment: Mapping[str, str], chosen: Path | None = None) -> Path:
    """Return the data folder: `--data-dir`, MINITOOLAI_DATA_DIR, or the user's own (XDG)."""
    if chosen is not None:
        return chosen
    if environment.get("MINITOOLAI_DATA_DIR"):
        return Path(environment["MINITOOLAI_DATA_DIR"])
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "minitoolai"


def _read(file: Path | None) -> dict[str, Any]:
    path = file or Path(DEFAULT_FILE)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is not None:
            raise ConfigInvalid(source=str(file), why="there is no such file") from None
        return {}
    except OSError as error:
        raise ConfigInvalid(source=str(path), why=f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(source=str(path), why=f"is not TOML: {error}") from None


def _override(tree: dict[str, Any], environment: Mapping[str, str]) -> bool:
    """Put MINITOOLAI_SECTION__KEY variables over the file, and understand those that others set; whether any was."""
    overridden = False
    for name, (section, key) in _KNOWN_ELSEWHERE.items():
        if environment.get(name):
            tree.setdefault(section, {}).setdefault(key, environment[name])
    for name, text in sorted(environment.items()):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        *tables, key = name.removeprefix(_PREFIX).lower().split("__")
        table = tree
        for step in tables:
            table = table.setdefault(step, {})
            if not isinstance(table, dict):
                raise ConfigInvalid(source=name, why=f"'{step}' is not a table")
        table[key] = text if key.endswith(_PRICE) else _scalar(text)
        overridden = True
    return overridden


def _scalar(text: str) -> object:
    """Read a variable's text as TOML would: numbers, booleans and lists as such, all else as text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, dict) else value


def _check_keys(tree: Mapping[str, Any], source: str) -> None:
    """Refuse unknown keys with the nearest known one."""
    _known(tree, known_keys(Settings), "", source)
    for section, kind in _SECTIONS.items():
        _known(tree.get(section, {}), known_keys(kind), f"{section}.", source)
    for name, engine in _tables(tree, "engines", source):
        settings = _ENGINES.get(str(engine.get("kind")))
        if settings is None:
            why = f"engines.{name}.kind is {engine.get('kind')!r}; the kinds are: {', '.join(_ENGINES)}"
            raise ConfigInvalid(source=source, why=why)
        _known(engine, known_keys(settings), f"engines.{name}.", source)
    for name, model in _tables(tree, "models", source):
        _known(model, known_keys(ModelSettings), f'models."{name}".', source)


def _tables(tree: Mapping[str, Any], section: str, source: str) -> list[tuple[str, Mapping[str, Any]]]:
    found = tree.get(section, {})
    if not isinstance(found, dict):
        raise ConfigInvalid(source=source, why=f"'{section}' must be a table")
    for name, table in found.items():
        if not isinstance(table, dict):
            raise ConfigInvalid(source=source, why=f"{section}.{name} must be a table")
    return list(found.items())


def _known(table: object, keys: tuple[str, ...], path: str, source: str) -> None:
    if not isinstance(table, dict):
        raise ConfigInvalid(source=source, why=f"'{path.rstrip('.')}' must be a table")
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)
            raise ConfigInvalid(source=source, why=f"unknown key '{path}{key}'; did you mean '{path}{near[0]}'?")


def _check_engines(settings: Settings, source: str) -> None:
    for name, model in settings.models.items():
        named = [model.engine] if model.engine is not None else []
        named += [each if isinstance(each, str) else each.name for each in model.engines]
        for engine in named:
            if engine not in settings.engines and engine != ESPEAK:
                known = ", ".join(settings.engines) or "none is configured"
                why = f"models.\"{name}\".engine is '{engine}', which is no engine; engines: {known}"
                raise ConfigInvalid(source=source, why=why)


def _check_origins(settings: Settings, source: str) -> None:
    for origin in settings.server.cors_origins:
        if not _ORIGIN.fullmatch(origin):
            why = f"server.cors_origins: '{origin}' is no origin; write it like https://chat.example.com, in small letters"
            raise ConfigInvalid(source=source, why=f"{why} and without a path or a slash at the end")
