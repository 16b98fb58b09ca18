"""What an emulated engine is like: slots, timing, lengths, quotas. One TOML file holds all of it."""

import difflib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SHAPES = Path(__file__).parent


class ParameterError(ValueError):
    """A parameter file cannot be used; the message is one sentence for the user."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Section):
    name: str = "plimsoll-emulator"
    context_tokens: int = Field(8192, ge=1)  # prompt + output of one request; more is refused with 400


class Batching(_Section):
    mode: Literal["lockstep", "independent"] = "lockstep"
    slots: int = Field(64, ge=1)
    max_waiting: int = Field(256, ge=0)  # beyond slots + max_waiting requests a new one gets 429
    kv_tokens: int = Field(262_144, ge=1)  # admitted only while prompt + output of all running fit


class Prefill(_Section):
    overhead_ms: float = Field(0.0, ge=0)  # before the engine sees a request (network, tokenizer); costs no engine time
    base_ms: float = Field(20.0, ge=0)  # once per step in which prompts begin, however many
    ms_per_prompt: float = Field(0.0, ge=0)
    ms_per_token: float = Field(0.1, ge=0)
    ms_per_token_beside: float = Field(0.0, ge=0)  # added for each stream that decodes in the same step; lockstep only
    chunk_tokens: int = Field(512, ge=0)  # most prompt tokens in one step; 0: whole prompts; lockstep only


class Decode(_Section):
    base_ms: float = Field(12.0, ge=0)  # alpha
    ms_per_running: float = Field(0.25, ge=0)  # beta
    knee_running: int = Field(0, ge=0)  # 0: no knee
    ms_per_running_past_knee: float = Field(0.0, ge=0)  # added to beta for every stream past the knee


class Output(_Section):
    median_tokens: float = Field(120.0, ge=1)  # lognormal, before max_tokens cuts it
    sigma: float = Field(0.5, ge=0)
    default_max_tokens: int = Field(1024, ge=1)  # where the request names none


class Embedding(_Section):
    dimensions: int = Field(512, ge=384, le=4096)
    base_ms: float = Field(5.0, ge=0)
    ms_per_token: float = Field(0.02, ge=0)
    slots: int = Field(32, ge=1)
    max_waiting: int = Field(1024, ge=0)


class Quota(_Section):
    requests_per_min: int = Field(0, ge=0)  # 0: none
    tokens_per_min: int = Field(0, ge=0)  # prompt + max_tokens, as providers charge it on arrival


class Parameters(_Section):
    """All of one engine; every section and key has a default."""

    model: Model = Model()
    batching: Batching = Batching()
    prefill: Prefill = Prefill()
    decode: Decode = Decode()
    output: Output = Output()
    embedding: Embedding = Embedding()
    quota: Quota = Quota()


def load(config: Path | None = None, changes: dict[str, str] | None = None) -> Parameters:
    """Read a parameter file, a shape by its name (`default`, see `shapes()`), or the default shape.

    `changes` are values for single keys, such as {"batching.slots": "8"}. Raises ParameterError with one sentence that
    names file, key, fault and the nearest valid spelling.
    """
    path = _find(config)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"{path}: cannot be read ({error.strerror}); give a TOML file or one of the shapes {', '.join(shapes())}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: is not valid TOML: {error}.") from None
    for key, value in (changes or {}).items():
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    try:
        return Parameters.model_validate(values)
    except ValidationError as error:
        raise ParameterError(f"{path}: {sentence(error, Parameters)}") from None


def shapes() -> list[str]:
    """Names of the parameter files that come with the emulator."""
    return sorted(path.stem for path in SHAPES.glob("*.toml"))


def _find(config: Path | None) -> Path:
    if config is None:
        return SHAPES / "default.toml"
    if config.suffix != ".toml" and not config.exists() and str(config) in shapes():
        return SHAPES / f"{config}.toml"
    return config


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """The first fault of a model's input: key, what is wrong, the nearest valid spelling."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}."
    for part in first["loc"][:-1]:
        model = type(getattr(model(), str(part)))
    allowed = list(model.model_fields)
    near = difflib.get_close_matches(str(first["loc"][-1]), allowed, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed here: {', '.join(allowed)}."
    return f"{key}: unknown key; {hint}"
