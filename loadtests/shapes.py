"""The shapes of the design as presets over stages: smoke, load, stress, spike, soak, breakpoint, ramp, daily, failover,
rollout."""

from math import pi, sin

from loadtests.arrivals import Stage
from measurements.errors import UsageError

SHAPES = ("smoke", "load", "stress", "spike", "soak", "breakpoint", "ramp", "daily", "failover", "rollout")
INCIDENTS = {"failover", "rollout"}  # something is done to the service meanwhile
STAGED = {"stress", "spike", "breakpoint", "ramp", "daily"}  # several rates: an open loop's alone
FINDING = {"breakpoint", "stress", "spike", "search"}  # a missed SLO is what these look for, not a failure


def stages(shape: str, rate_rps: float, duration_s: float, warmup_s: float = 0.0) -> list[Stage]:
    """The stages of `shape` at peak `rate_rps` over `duration_s`, after `warmup_s` at the first stage's rate."""
    if shape not in SHAPES:
        raise UsageError(f"--shape {shape}: known shapes are {', '.join(SHAPES)}")
    if rate_rps <= 0 or duration_s <= 0:
        raise UsageError(f"a rate of {rate_rps:g} rps for {duration_s:g} s sends nothing; both must be above 0")
    main = _main(shape, rate_rps, duration_s)
    warm = [Stage("warmup", warmup_s, main[0].start_rps, main[0].start_rps, warmup=True)] if warmup_s else []
    return warm + main


def _main(shape: str, rate: float, duration: float) -> list[Stage]:
    if shape == "breakpoint":
        return _steps([rate * k / 10 for k in range(1, 11)], duration)
    if shape == "stress":
        return _steps([rate * k / 4 for k in (2, 3, 4, 5, 6)], duration)
    if shape == "spike":
        third = duration / 3
        return [
            Stage("before", third, rate / 10, rate / 10),
            Stage("spike", third, rate, rate),
            Stage("after", duration - 2 * third, rate / 10, rate / 10),
        ]
    if shape == "failover":
        third = duration / 3
        names = ("all-up", "one-down", "restored")
        return [Stage(name, third, rate, rate) for name in names]
    if shape == "rollout":
        return [Stage("old", duration / 4, rate, rate), Stage("rolling", duration * 3 / 4, rate, rate)]
    if shape == "ramp":
        return [Stage("ramp", duration, rate / 100, rate)]
    if shape == "daily":
        hours = [0.55 - 0.45 * sin(2 * pi * (hour + 6 - 3) / 24) for hour in range(25)]  # low at 3, high at 15 o'clock
        return [Stage(f"{h:02d}h", duration / 24, rate * hours[h], rate * hours[h + 1]) for h in range(24)]
    return [Stage("steady", duration, rate, rate)]


def _steps(rates: list[float], duration: float) -> list[Stage]:
    each = duration / len(rates)
    return [Stage(f"step-{k:02d}", each, rate, rate) for k, rate in enumerate(rates, 1)]
