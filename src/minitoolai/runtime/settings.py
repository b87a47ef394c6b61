"""The settings: one frozen object, its defaults, and what each means. How they are found is `config`'s business."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from minitoolai.core.speech import MAX_LANGUAGE_CHARACTERS
from minitoolai.runtime.model_settings import Count, ModelSettings

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
#: The engine that is there without settings, where espeak-ng is installed; models may name it.
ESPEAK = "espeak"


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where and how to serve."""

    #: Address to listen on; `0.0.0.0` for all. Put a TLS proxy in front before you open it to the world.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 takes a free one.
    port: Port = 8000
    #: Gateway processes; one fills one core.
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    #: Bytes of a request's body at most.
    max_body_bytes: Annotated[int, Meta(ge=1024, le=256 * 1024 * 1024)] = 20 * 1024 * 1024
    #: Seconds that streams may go on after SIGTERM before they are cut with an error event.
    drain_timeout_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    #: Where callers find this server, as "https://ai.example.com": links to pictures begin with it. Absent: the Host that
    #: each request names.
    public_url: str | None = None
    #: Networks of proxies whose `X-Forwarded-For` says where a caller is, as "10.0.0.0/8".
    trusted_proxies: tuple[str, ...] = ()
    #: Origins whose pages may call the API from a browser, as "https://chat.example.com"; `["*"]`: any.
    cors_origins: tuple[str, ...] = ()
    #: Name of the variable that holds the token with which `/metrics` is read from other machines; absent: only from
    #: this one.
    metrics_token_env: str | None = None
    #: Name of the variable that holds the server's secret; absent: the file `secret` in the data folder.
    secret_env: str | None = None
    #: Requests and tokens a minute of a key without limits of its own: a fuse, above what one key has use for.
    requests_per_minute: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1_000_000
    tokens_per_minute: Annotated[int, Meta(ge=1, le=2**53)] = 10_000_000_000


class DatabaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[database]`."""

    #: `postgresql://…` of a PostgreSQL 15 or later; absent: the embedded one.
    url: str | None = None


class StorageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[storage]`: where pictures are kept."""

    #: `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///folder`; absent: the folder `files` in the data folder.
    url: str | None = None


class JobsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[jobs]`: pictures that wait, are drawn, and are kept."""

    #: Workers that `serve` starts beside the gateways; 0: none, other machines draw (`minitoolai worker`).
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    #: Jobs that may wait: of one account, and of all together. Further ones are refused.
    max_waiting_per_account: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    max_waiting: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000
    #: Seconds that a job may wait before it is given up and its hold released.
    max_wait_s: Annotated[float, Meta(ge=1, le=604_800)] = 3600.0
    #: Days that a picture and its job are kept: webhooks are told, and calls repeated, for a day.
    retention_days: Annotated[float, Meta(ge=1, le=3650)] = 30.0


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: what goes to standard error."""

    #: `json`: each line an object; `text`: lines for a person; `auto`: text on a terminal, else JSON.
    format: Literal["auto", "json", "text"] = "auto"
    #: Whether each finished request has a line.
    calls: bool = True


class TelemetrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[telemetry]`: traces to an OpenTelemetry collector."""

    #: Base URL of its OTLP/HTTP receiver, as `http://127.0.0.1:4318`; absent: no traces.
    otlp_endpoint: str | None = None
    #: Name of the variable that holds headers for it, as "authorization=Bearer …,x-scope=…".
    otlp_headers_env: str | None = None


class OpenAIEngineSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="openai"):
    """`[engines.NAME]` with `kind = "openai"`: any server that speaks OpenAI's API."""

    #: Up to and without `/chat/completions`, as `https://api.openai.com/v1`.
    base_url: str
    #: Name of the variable that holds its key; absent: none is sent.
    api_key_env: str | None = None
    #: Seconds to connect; to the reply's headers; between two reads; for the whole call.
    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 300.0
    between_bytes_s: Seconds = 120.0
    total_s: Seconds = 1800.0
    #: False for a server that refuses `stream_options`: tokens of streams are then counted here.
    stream_options: bool = True
    #: What the server calls the limit of an answer.
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    #: False for a server that does not fetch pictures by their URL: they are fetched here and sent inside.
    fetches_images: bool = True
    #: Failures in a row after which it is left alone for a while; 0: never.
    breaker_failures: Annotated[int, Meta(ge=0, le=1000)] = 5
    #: Pictures that one worker has it draw side by side.
    parallel_images: Annotated[int, Meta(ge=1, le=256)] = 8
    #: Long texts that one worker has it speak side by side.
    parallel_speech: Annotated[int, Meta(ge=1, le=256)] = 4


class LlamaEngineSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="llama"):
    """`[engines.NAME]` with `kind = "llama"`: a GGUF file, run here by llama.cpp in a process of its own."""

    #: The GGUF file.
    model_path: str
    #: The GGUF file of its vision projector; absent: it sees no pictures.
    mmproj_path: str | None = None
    #: Whether it turns texts into vectors; it does not chat then.
    embeddings: bool = False
    #: Calls answered side by side; more wait.
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4
    #: Tokens of one call's prompt and answer together; absent: the model's own, up to 8192.
    context_tokens: Count | None = None
    #: Threads for arithmetic; absent: as many as there are cores.
    threads: Count | None = None
    #: Seconds to the reply's headers (waiting for a free slot and reading the prompt), and for the whole call.
    first_byte_s: Seconds = 300.0
    total_s: Seconds = 1800.0


class OnnxEngineSettings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="onnx"):
    """`[engines.NAME]` with `kind = "onnx"`: Stable Diffusion as an ONNX folder, run by onnxruntime in processes of the
    workers."""

    #: The folder, as `optimum-cli export onnx` writes it.
    model_path: str
    #: Threads for arithmetic; absent: as many as there are cores.
    threads: Count | None = None
    #: Pictures drawn side by side by one worker.
    parallel: Annotated[int, Meta(ge=1, le=16)] = 1
    #: onnxruntime's execution providers, the first that is there is used.
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    #: Seconds for a whole picture.
    total_s: Seconds = 1800.0


class _SpeakingChild(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all engines have that speak in a process of ours."""

    #: BCP 47 tag of the language that is spoken where neither the call nor its voice nor its text tells one.
    language: Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=MAX_LANGUAGE_CHARACTERS)] = "en"
    #: Long texts that one worker has it speak side by side.
    parallel_jobs: Annotated[int, Meta(ge=1, le=64)] = 2
    #: Seconds for a whole call or long text.
    total_s: Seconds = 7200.0


class EspeakEngineSettings(_SpeakingChild, frozen=True, tag_field="kind", tag="espeak"):
    """`[engines.NAME]` with `kind = "espeak"`: espeak-ng, in a process of its own."""

    #: Sentences spoken side by side; absent: as many as there are cores.
    parallel: Annotated[int, Meta(ge=1, le=16)] | None = None


class PiperEngineSettings(_SpeakingChild, frozen=True, tag_field="kind", tag="piper"):
    """`[engines.NAME]` with `kind = "piper"`: Piper's voices, run by onnxruntime in a process of their own."""

    #: A voice, as "pl_PL-gosia-medium.onnx" with its ".onnx.json" beside it, or a folder of voices.
    model_path: str
    #: Voices that are kept in memory; others are loaded when they are asked for.
    loaded: Annotated[int, Meta(ge=1, le=256)] = 4
    #: Threads for arithmetic; absent: as many as there are cores.
    threads: Count | None = None


class KokoroEngineSettings(_SpeakingChild, frozen=True, tag_field="kind", tag="kokoro"):
    """`[engines.NAME]` with `kind = "kokoro"`: Kokoro's model, run by onnxruntime in a process of its own."""

    #: The folder with its ".onnx" file and its "voices….bin".
    model_path: str
    #: Threads for arithmetic; absent: as many as there are cores.
    threads: Count | None = None


#: The settings of an engine that speaks in a process of ours.
SpeechEngineSettings = EspeakEngineSettings | PiperEngineSettings | KokoroEngineSettings
#: The settings of any engine.
EngineSettings = OpenAIEngineSettings | LlamaEngineSettings | OnnxEngineSettings | SpeechEngineSettings


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator may set."""

    #: Whether the local starter engines serve the seed's models: `auto` while nothing else is configured.
    sandbox: Literal["auto", "on", "off"] = "auto"
    #: Whether espeak-ng speaks without an engine of its kind in the settings: `auto` where it is installed.
    espeak: Literal["auto", "off"] = "auto"
    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    jobs: JobsSettings = field(default_factory=JobsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    engines: dict[str, EngineSettings] = field(default_factory=dict)
    models: dict[str, ModelSettings] = field(default_factory=dict)


def known_keys(kind: object) -> tuple[str, ...]:
    """Return the keys that a settings table takes."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    own = tuple(item.encode_name for item in info.fields)
    return (*own, info.tag_field) if info.tag_field else own
