"""The contract: one TOML file that describes a service, as types. docs/contract.md is generated from these."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, Strict, model_validator

from targets.sources import DataField
from targets.urls import base_url

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
Rate = Annotated[str, Field(pattern=r"^\d+/(\d+ ?)?(second|minute|hour|day)s?$")]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[^\r\n\x00]*$")]
Header = dict[HeaderName, HeaderValue]
Path_ = Annotated[str, Field(pattern=r"^/[^\s\x00-\x1f]*$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Need(Section):
    """A process that the service needs; its URL is {<name>_url} in the service's start command."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    start: str
    ready: Path_ = "/health"
    env: dict[str, str] = {}


class Rollout(Section):
    strategy: Literal["rolling", "blue-green"] = Field(
        "rolling", description="replica by replica, or all new ones first and then one switch"
    )
    max_unavailable: Annotated[int, Field(ge=0)] = Field(0, description="rolling: replicas fewer than usual meanwhile")
    max_surge: Annotated[int, Field(ge=0)] = Field(1, description="rolling: replicas more than usual meanwhile")

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.max_unavailable == 0 and self.max_surge == 0:
            raise ValueError("max_unavailable and max_surge cannot both be 0: nothing could be replaced")
        return self


class Control(Section):
    start: str = Field(
        description="command; {port}, {workers}, {<need>_url} and {queue_<name>_max_concurrent} (_max_queue_size, _timeout_s) of "
        "[limits.queue.<name>] are filled in"
    )
    stop: str | None = Field(None, description="command that stops it; absent: SIGTERM, then SIGKILL after 10 s")
    ready: Path_ = Field("/health", description="path that answers 2xx once the service can serve")
    ready_timeout_s: Seconds = 60
    env: dict[str, str] = {}
    needs: list[Need] = []
    rollout: Rollout = Field(Rollout(), description="how a new version takes the old one's place: --shape rollout")


class Observe(Section):
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(None, description="find the process by its port")
    pid: Annotated[int, Field(ge=1)] | None = None
    container: str | None = None
    prometheus: str | None = Field(None, description="path or URL of the metrics page")
    json_: dict[str, list[str]] = Field({}, alias="json", description="path = the dotted keys to keep")
    otlp: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None,
        description="listen here for the service's OpenTelemetry spans (OTLP over HTTP); with --start it is told so",
    )
    recording: str | None = Field(
        None, description="file of the recording proxy in front of the upstream (`plimsoll serve llm --record`)"
    )


class Target(Section):
    name: Name
    base_url: str | list[str] = Field(description="one URL, or a list: replicas, balanced by the client")
    locustfile: str | None = Field(None, description="absent: each arrival is one endpoint drawn by weight")
    verify_tls: bool = True
    control: Control | None = None
    observe: Observe = Observe()

    @model_validator(mode="after")
    def _urls(self) -> Self:
        if not self.base_urls:
            raise ValueError("base_url is an empty list; name at least one URL")
        for url in self.base_urls:
            base_url(url)
        return self

    @property
    def base_urls(self) -> list[str]:
        return [self.base_url] if isinstance(self.base_url, str) else list(self.base_url)


class Expect(Section):
    status: list[Annotated[int, Field(ge=100, le=599)]] | None = Field(None, description="absent: 2xx")
    contains: str | None = None
    json_path: Annotated[str, Field(pattern=r"^\$(\.[\w-]+|\[\d+\])*$")] | None = Field(
        None, description="must exist, e.g. $.choices[0].text"
    )
    min_tokens: Annotated[int, Field(ge=1)] | None = None


class Endpoint(Section):
    name: Name
    kind: Literal["generation", "search", "health", "other"] = "other"
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
    path: Path_
    query: dict[str, str | int | float | bool] = {}
    json_: Any = Field(None, alias="json", description="body; {{field}} from [data]")
    body: str | None = Field(None, description="body as text, instead of json")
    header: Header = {}
    weight: Annotated[float, Field(ge=0, le=1_000_000)] = 1
    timeout_s: Seconds = 30
    first_byte_timeout_s: Seconds | None = Field(None, description="until the answer begins; absent: timeout_s")
    connect_timeout_s: Seconds | None = Field(None, description="until the connection stands; absent: timeout_s")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        0,
        description="after a broken connection, 429 or 503, within the timeout; Retry-After is kept, else 0.1 s doubling",
    )
    stream: Literal["sse"] | None = Field(None, description="absent: a plain response")
    tokenizer: str | None = Field(
        None, description="tokenizer.json that counts a stream's tokens where the server does not tell their number"
    )
    expect: Expect = Expect()
    enabled: bool = True

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.json_ is not None and self.body is not None:
            raise ValueError("json and body exclude each other; keep one")
        try:
            json.dumps(self.json_, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("json holds a date, a time, inf or nan, which JSON has not; write it in quotes") from None
        return self


class Slo(Section):
    """Limits over one endpoint, or `all`. Times in milliseconds; what is absent is not judged."""

    mean_ms: Positive | None = None
    p50_ms: Positive | None = None
    p90_ms: Positive | None = None
    p95_ms: Positive | None = None
    p99_ms: Positive | None = None
    p99_9_ms: Positive | None = None
    ttft_p95_ms: Positive | None = None
    tpot_p95_ms: Positive | None = None
    error_rate: Share | None = None
    min_goodput_rps: Positive | None = None
    window_s: Seconds | None = Field(None, description="judge every window of this length, not the whole run")

    def limits(self) -> dict[str, float]:
        return {key: value for key, value in self.model_dump(exclude={"window_s"}).items() if value is not None}


class Users(Section):
    think_time_s: NotNegative | Annotated[tuple[NotNegative, NotNegative], Strict(False)] = Field(
        0, description="or [low, high], uniform"
    )
    session_length: Annotated[int, Field(ge=1)] | None = Field(None, description="journeys before a user starts afresh")
    identities: Annotated[int, Field(ge=1, le=1_000_000)] = Field(1, description="clients that the load is spread over")
    header: Header = Field({}, description="per identity; {{identity}} is its number")
    tokens: str | None = Field(None, description="file with one token per line, {{token}} in header")
    addresses: Annotated[str, Field(pattern=r"^127\.\d+\.\d+\.\d+(/\d+)?$")] | None = Field(
        None, description="loopback network to send from, an address per identity, e.g. 127.0.1.0/24"
    )

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if isinstance(self.think_time_s, tuple) and self.think_time_s[0] > self.think_time_s[1]:
            raise ValueError(f"think_time_s is [low, high]; {list(self.think_time_s)} is the wrong way round")
        return self

    @model_validator(mode="after")
    def _network(self) -> Self:
        if self.addresses:
            try:
                ip_network(self.addresses, strict=False)
            except ValueError as error:
                raise ValueError(f"addresses: {error}; write a loopback network, e.g. 127.0.1.0/24") from error
        return self


class Queue(Section):
    max_concurrent: Annotated[int, Field(ge=1)]
    max_queue_size: Annotated[int, Field(ge=0)]
    timeout_s: Seconds


class Front(Section):
    proxy: str = "nginx"
    rate: Rate
    burst: Annotated[int, Field(ge=0)] = 0
    paths: str = "/"


class Database(Section):
    pool_size: Annotated[int, Field(ge=1)]
    max_connections: Annotated[int, Field(ge=1)]
    reserved: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _some_left(self) -> Self:
        if self.reserved >= self.max_connections:
            raise ValueError(f"reserved ({self.reserved}) leaves none of max_connections ({self.max_connections})")
        return self


class Limits(Section):
    per_client: list[Rate] = Field([], description='e.g. ["10/minute", "100/hour"]')
    per_client_scope: Literal["process", "service"] = "service"
    client_key: Annotated[str, Field(pattern=r"^(address|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$")] = Field(
        "address", description='what a client is: "address", or "header:NAME"'
    )
    queue: dict[str, Queue] = {}
    front: Front | None = None
    database: Database | None = None
    replicas: Annotated[int, Field(ge=1)] | None = None


class Resources(Section):
    """As deployed. A plan speaks for these."""

    cpu: Positive | None = Field(None, description="cores (limit) of one replica")
    cpu_request: Positive | None = None
    memory_mib: Positive | None = None
    memory_request_mib: Positive | None = None
    workers: Annotated[int, Field(ge=1)] = 1
    replicas: Annotated[int, Field(ge=1)] = 1
    platform: Literal["compose", "kubernetes", "ecs", "process"] = "process"


class Upstream(Section):
    paid: bool = False
    kind: Literal["real", "replayed", "emulated"] = Field("emulated", description="decides the evidence grade")
    provider: str | None = None
    model: str | None = None
    usd_per_1k_tokens_in: Annotated[float, Field(ge=0)] = 0
    usd_per_1k_tokens_out: Annotated[float, Field(ge=0)] = 0
    calls_per_request: Annotated[float, Field(ge=0)] = Field(1, description="averaged over the mix")
    tokens_in: Annotated[float, Field(ge=0)] = Field(0, description="per call, for the estimate ahead")
    tokens_out: Annotated[float, Field(ge=0)] = 0
    max_usd: Positive | None = None


class Gate(Section):
    floor: Share = 0.03
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    primaries: list[str] = Field([], description='"endpoint:metric", five at most')
    may_share: list[str] = Field([], description="paths and host:port that both versions may use: they hold no state")
    on_unsure: Literal["neutral", "fail"] = "neutral"


class AlertRule(Section):
    metric: Literal[
        "response_ms",
        "response_mean_ms",
        "response_p50_ms",
        "response_p95_ms",
        "response_p99_ms",
        "error_rate",
        "health_failed",
        "cpu_percent",
        "memory_percent",
        "memory_mib",
        "disk_percent",
        "disk_free_gib",
    ]
    above: float | None = None
    below: float | None = None
    window_s: Seconds = 60
    times: Annotated[int, Field(ge=1)] = Field(1, description="windows running that must breach")
    severity: Literal["critical", "high", "medium", "low"] = "medium"

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give one of above and below")
        return self


class Alert(Section):
    rule: list[AlertRule] = []
    notify: dict[Literal["critical", "high", "medium", "low"], list[str]] = Field(
        {}, description="severity = channels; a channel is the name of an environment variable with its URL"
    )


class Data(BaseModel):
    """`repeat` and `seed`, and a table per {{field}}."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, DataField]

    repeat: Share = Field(0, description="share of requests that repeat an earlier one to the letter")
    seed: int = 1

    @property
    def fields(self) -> dict[str, DataField]:
        return self.__pydantic_extra__


class Contract(Section):
    target: Target
    endpoint: Annotated[list[Endpoint], Field(min_length=1)]
    slo: dict[str, Slo] = {}
    data: Data = Data()
    users: Users = Users()
    limits: Limits = Limits()
    resources: Resources = Resources()
    upstream: Upstream | None = None
    gate: Gate = Gate()
    alert: Alert = Alert()
    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """Where the contract file lies; files that it names are looked up there, then in the current folder."""
        return self._folder

    def beside(self, name: str) -> Path:
        found = self.folder / name
        return found if found.exists() or not Path(name).exists() else Path(name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [endpoint.name for endpoint in self.endpoint]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"endpoint names are unique; twice: {', '.join(twice)}")
        if "all" in names:
            raise ValueError('"all" names the whole mix; call the endpoint otherwise')
        for name in self.slo:
            if name != "all" and name not in names:
                raise ValueError(f"slo.{name} judges no endpoint; endpoints are {', '.join(names)} (or all)")
        if self.target.locustfile is None and not any(e.weight and e.enabled for e in self.endpoint):
            raise ValueError("every endpoint has weight 0 or is disabled; give one a weight")
        known = set(self.data.fields) | BUILT_IN_FIELDS
        users = {"users.header": set(FIELD.findall(json.dumps(self.users.header)))}
        for place, fields in {**{f"endpoint {e.name}": fields_used(e) for e in self.endpoint}, **users}.items():
            for used in sorted(fields):
                if used not in known:
                    raise ValueError(
                        f"{place} uses {{{{{used}}}}}, which [data] does not define; "
                        f"defined are {', '.join(sorted(known))}"
                    )
        return self

    def endpoint_named(self, name: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoint if endpoint.name == name), None)


BUILT_IN_FIELDS = {"seq", "nonce", "identity", "token"}
FIELD = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def fields_used(endpoint: Endpoint) -> set[str]:
    """Names of all {{fields}} in path, query, body and headers."""
    text = json.dumps([endpoint.path, endpoint.query, endpoint.json_, endpoint.body, endpoint.header])
    return set(FIELD.findall(text))
