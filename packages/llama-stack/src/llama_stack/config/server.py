"""`server`: how the HTTP server listens, what it accepts and how it routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from llama_stack.config.auth import AuthConfig
from llama_stack.config.batches import BatchesConfig
from llama_stack.config.egress import EgressConfig
from llama_stack.config.files import FilesConfig
from llama_stack.config.messages import MessagesConfig
from llama_stack.config.responses import AgentLimits
from llama_stack.config.runs import RunsConfig
from llama_stack.config.secrets import SecretsConfig
from llama_stack.config.section import Section, UserPath
from llama_stack.config.stored import ConversationsConfig, PromptsConfig
from llama_stack.config.websocket import SocketLimits

_MIB = 1024 * 1024


class CorsConfig(Section):
    allow_origins: list[str] = Field(default_factory=list)
    allow_origin_regex: str | None = None
    allow_methods: list[str] = Field(default_factory=lambda: ["OPTIONS"])
    allow_headers: list[str] = Field(default_factory=list)
    allow_credentials: bool = False
    expose_headers: list[str] = Field(default_factory=list)
    max_age: int = Field(default=600, ge=0)
    """Seconds that a browser may keep the answer to its preflight request."""

    @model_validator(mode="after")
    def _no_wildcard_with_credentials(self) -> CorsConfig:
        wildcard = "*" in self.allow_origins or self.allow_origin_regex in {".*", ".+", "^.*$", "^.+$"}
        if self.allow_credentials and wildcard:
            raise ValueError("allow_credentials with origin '*' would let any site act as the user; name the origins")
        return self


LOCALHOST_CORS = CorsConfig(
    allow_origin_regex=r"https?://(localhost|127\.0\.0\.1)(:\d+)?",
    allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    allow_headers=["*"],
)
"""What `cors: true` means: pages served from this machine."""


def _cors_kind(value: Any) -> str:
    return "policy" if isinstance(value, dict | CorsConfig) else "switch"


Cors = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[CorsConfig, Tag("policy")],
    Discriminator(_cors_kind),
]


class LimitsConfig(Section):
    """What the server refuses to exceed. Each error names the setting that raises its limit."""

    body_bytes_max: int = Field(default=64 * _MIB, ge=1024)
    """Bytes of a request body, counted after decompression."""
    json_depth_max: int = Field(default=64, ge=4, le=512)
    """Nesting of arrays and objects in a JSON body."""
    header_bytes_max: int = Field(default=64 * 1024, ge=4096)
    """Bytes of the request line and headers together."""
    body_timeout_s: float = Field(default=60, gt=0)
    """Seconds that a client may take to send its body."""
    request_timeout_s: float = Field(default=600, gt=0)
    """Seconds until a request that does not stream must be answered, and a stream must have begun."""
    stream_idle_timeout_s: float = Field(default=120, gt=0)
    """Seconds that a stream may go without a byte from the provider."""
    concurrent_requests_max: int = Field(default=1024, ge=1)
    """Requests that one worker serves at a time; further ones are refused with 503."""


class BreakerConfig(Section):
    failures: int = Field(default=5, ge=1)
    """Failures in a row after which a target is left alone."""
    open_s: float = Field(default=10, gt=0)
    """Seconds until one request tries it again; doubled each time that it fails."""


class RoutingConfig(Section):
    """How requests find a provider, and what happens when it fails."""

    retries_max: int = Field(default=2, ge=0, le=10)
    """Further attempts at the same target after a connect error, 429 or 5xx."""
    retry_delay_s: float = Field(default=0.25, gt=0)
    """Wait before the first retry; doubled each time, with jitter."""
    retry_delay_max_s: float = Field(default=8, gt=0)
    """Longest wait, also for a provider's `Retry-After`; a longer one is passed on to the client instead."""
    breaker: BreakerConfig = Field(default_factory=BreakerConfig)
    discovery_wait_s: float = Field(default=5, ge=0)
    """Seconds that a request for an unknown `provider/model` waits for that provider's first listing."""
    discovery_timeout_s: float = Field(default=15, gt=0)
    """Seconds that a provider may take to list its models."""


class ServerConfig(Section):
    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback the server wants authentication, or `--allow-unauthenticated`."""
    port: int = Field(default=8321, ge=0, le=65535)
    """0: any free port."""
    tls_certfile: UserPath | None = None
    tls_keyfile: UserPath | None = None
    tls_cafile: UserPath | None = None
    """Clients must show a certificate that this CA signed (mutual TLS)."""
    auth: AuthConfig | None = None
    quota: dict[str, Any] | None = None
    cors: Cors | None = None
    """True: pages served from this machine; an object: exactly what it says; false or absent: no CORS."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that serve requests."""
    registry_refresh_interval_seconds: float = Field(default=300, gt=0)
    """How often providers are asked for their models again."""
    shutdown_grace_s: float = Field(default=30, ge=0)
    """Seconds that running requests get to finish when the server stops."""
    log_requests: bool = True
    """One line per request in the log, without its body."""
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    websocket: SocketLimits = Field(default_factory=SocketLimits)
    routing: RoutingConfig = Field(default_factory=RoutingConfig)
    runs: RunsConfig = Field(default_factory=RunsConfig)
    responses: AgentLimits = Field(default_factory=AgentLimits)
    egress: EgressConfig = Field(default_factory=EgressConfig)
    conversations: ConversationsConfig = Field(default_factory=ConversationsConfig)
    prompts: PromptsConfig = Field(default_factory=PromptsConfig)
    files: FilesConfig = Field(default_factory=FilesConfig)
    messages: MessagesConfig = Field(default_factory=MessagesConfig)
    batches: BatchesConfig = Field(default_factory=BatchesConfig)
    secrets: SecretsConfig = Field(default_factory=SecretsConfig)

    @model_validator(mode="after")
    def _tls_is_whole(self) -> ServerConfig:
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            raise ValueError("tls_certfile and tls_keyfile go together; one is missing")
        if self.tls_cafile is not None and self.tls_certfile is None:
            raise ValueError("tls_cafile asks clients for certificates, which needs tls_certfile and tls_keyfile")
        return self

    @property
    def cors_policy(self) -> CorsConfig | None:
        """The policy that `cors` stands for; None: no CORS headers."""
        if isinstance(self.cors, CorsConfig):
            return self.cors
        return LOCALHOST_CORS if self.cors else None

    @property
    def scheme(self) -> Literal["http", "https"]:
        return "https" if self.tls_certfile else "http"
