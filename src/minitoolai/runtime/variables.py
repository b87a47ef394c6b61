"""The variables that a process of ours is given: those that the settings name, and those of the store of files."""

from __future__ import annotations

from collections.abc import Mapping

from minitoolai.core.inner_errors import ConfigInvalid
from minitoolai.runtime.settings import EngineSettings, OpenAIEngineSettings, Settings
from minitoolai.storage.blobs import STORE_VARIABLES


def gateway_variables(
    settings: Settings, engines: Mapping[str, EngineSettings], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return what a gateway is given. Raises `ConfigInvalid` when a variable that is named is not set."""
    found = worker_variables(settings, engines, environment)
    for source, variable, what in (
        ("server.metrics_token_env", settings.server.metrics_token_env, "a token for /metrics"),
        ("telemetry.otlp_headers_env", settings.telemetry.otlp_headers_env, "the collector's headers"),
    ):
        if variable is not None:
            found[variable] = _value(source, variable, what, environment)
    return found


def worker_variables(
    settings: Settings, engines: Mapping[str, EngineSettings], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return what a worker with `engines` is given. Raises as `gateway_variables`."""
    found = {
        engine.api_key_env: _value(f"engines.{name}.api_key_env", engine.api_key_env, "the key of the engine", environment)
        for name, engine in engines.items()
        if isinstance(engine, OpenAIEngineSettings) and engine.api_key_env is not None
    }
    if environment.get("OPENAI_API_KEY"):
        found["OPENAI_API_KEY"] = environment["OPENAI_API_KEY"]
    if settings.storage.url is not None:
        found |= {name: value for name, value in environment.items() if name.startswith(STORE_VARIABLES)}
    return found


def _value(source: str, variable: str, what: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable)
    if not value:
        raise ConfigInvalid(source=source, why=f"the variable {variable} is not set; export it with {what}")
    return value
