"""What a run will cost at the upstream, before it starts; a paid upstream without a cap is refused."""

from __future__ import annotations

from dataclasses import dataclass

from measurements.errors import Refused
from targets.contract import Contract


@dataclass(frozen=True)
class Estimate:
    """Expected over the whole run. `max_requests` is where `max_usd` is reached; None without a paid upstream."""

    requests: float
    calls: float
    tokens: float
    usd: float
    max_requests: int | None

    @property
    def sentence(self) -> str:
        text = f"about {self.requests:,.0f} requests, {self.calls:,.0f} upstream calls, {self.tokens:,.0f} tokens"
        return f"{text}, {self.usd:,.2f} USD" if self.max_requests is not None else text


def estimate(contract: Contract | None, requests: float) -> Estimate:
    """Refused when the upstream is paid and the contract has no `max_usd`."""
    upstream = contract.upstream if contract else None
    if contract is None or upstream is None:
        return Estimate(requests, 0, 0, 0, None)
    calls = requests * upstream.calls_per_request
    usd_per_call = (
        upstream.tokens_in * upstream.usd_per_1k_tokens_in + upstream.tokens_out * upstream.usd_per_1k_tokens_out
    ) / 1000
    tokens = calls * (upstream.tokens_in + upstream.tokens_out)
    if not upstream.paid:
        return Estimate(requests, calls, tokens, 0.0, None)
    if upstream.max_usd is None:
        raise Refused(
            f"the upstream of {contract.target.name} is paid and this run would make about {calls:,.0f} calls "
            f"({calls * usd_per_call:,.2f} USD); set a cap with max_usd in [upstream]"
        )
    per_request = usd_per_call * upstream.calls_per_request
    if not per_request:
        raise Refused(
            f"the upstream of {contract.target.name} is paid, but a request costs nothing as [upstream] stands, so that "
            "max_usd would never be reached; give usd_per_1k_tokens_in and _out, tokens_in and tokens_out"
        )
    return Estimate(requests, calls, tokens, calls * usd_per_call, int(upstream.max_usd / per_request))
