"""Where hosts meet their master, and what it knows of each of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meeting:
    """Where hosts join, and how long is waited for them."""

    host: str
    port: int
    token: str
    wait_s: float = 600.0


@dataclass
class Host:
    """One joined host; `ranks` are the load processes of the plan that it runs."""

    name: str
    ranks: list[int]
    ready: bool = False
    rtt_s: list[float] = field(default_factory=list)
    silent_s: float = 0.0
    asked_s: float = 0.0
    answered_s: float | None = None
    done: bool = False
    left: str = ""


def short(name: str) -> str:
    """Locust's client id is a host name, an underscore and 32 digits: enough of it to tell two apart."""
    host, _, digits = name.rpartition("_")
    return "".join(c if c.isprintable() else "?" for c in f"{host}-{digits[:4]}")[:80]
