"""Closed formulas for simple queues: cross-checks of the simulation, and quick answers where they hold.

λ: arrivals per second, S: mean service time in s, μ = 1/S, c: servers, a = λS: offered load, ρ = a/c. All assume
Poisson arrivals, first come first served, endless patience and room, ρ < 1 (infinite results beyond).
"""

from __future__ import annotations

from math import exp, inf, log

from scipy.optimize import brentq

LONG = 50  # places: slots behind so many are never empty in overload


def erlang_b(servers: int, offered: float) -> float:
    """Share lost when nobody may wait, by the recursion B(c) = aB(c−1)/(c + aB(c−1)) (Erlang 1917)."""
    lost = 1.0
    for c in range(1, servers + 1):
        lost = offered * lost / (c + offered * lost)
    return lost


def erlang_c(servers: int, offered: float) -> float:
    """Share that waits when everybody may (Erlang 1917); 1 from ρ = 1."""
    if offered >= servers:
        return 1.0
    lost = erlang_b(servers, offered)
    rho = offered / servers
    return lost / (1 - rho * (1 - lost))


def loss_of_bounded_queue(servers: int, queue: int, offered: float) -> float:
    """Share refused by M/M/c with `queue` places to wait (Gross et al., Fundamentals of Queueing Theory, 4th ed., 2.5)."""
    weight, total = 1.0, 1.0
    for k in range(1, servers + queue + 1):
        weight *= offered / min(k, servers)
        total += weight
    return weight / total


def taken_share(servers: int, queue: int, offered_rps: float, through_rps: float) -> float:
    """Of c servers, the share that was busy on average while M/M/c with `queue` places to wait lets `through_rps` of
    `offered_rps` through; 1 where it lets all of it through, or where the line is long: then none is empty."""
    if not 0 < through_rps < offered_rps or queue > LONG:
        return 1.0
    most_s = servers / through_rps

    def beyond(service_s: float) -> float:
        return offered_rps * (1 - loss_of_bounded_queue(servers, queue, offered_rps * service_s)) - through_rps

    return float(brentq(beyond, 0.0, most_s)) / most_s


def mm_c_mean_s(rate_rps: float, service_s: float, servers: int) -> float:
    """Mean response: S + C/(cμ − λ)."""
    room = servers / service_s - rate_rps
    return service_s + erlang_c(servers, rate_rps * service_s) / room if room > 0 else inf


def mm_c_tail(t_s: float, rate_rps: float, service_s: float, servers: int) -> float:
    """P(response > t) of M/M/c: (1−C)e^{−μt} + C(θe^{−μt} − μe^{−θt})/(θ−μ), θ = cμ − λ; e^{−(μ−λ)t} for one server."""
    mu = 1 / service_s
    theta = servers * mu - rate_rps
    if theta <= 0:
        return 1.0
    if servers == 1:
        return exp(-theta * t_s)
    waits = erlang_c(servers, rate_rps * service_s)
    if abs(theta - mu) < 1e-9 * mu:
        return (1 + waits * mu * t_s) * exp(-mu * t_s)
    late = waits * (theta * exp(-mu * t_s) - mu * exp(-theta * t_s)) / (theta - mu)
    return (1 - waits) * exp(-mu * t_s) + late


def mm_c_quantile_s(p: float, rate_rps: float, service_s: float, servers: int) -> float:
    """The response time that a share p stays below."""
    theta = servers / service_s - rate_rps
    if theta <= 0:
        return inf
    top = 20 * log(1 / (1 - p)) * (service_s + 1 / theta)
    return float(brentq(lambda t: mm_c_tail(t, rate_rps, service_s, servers) - (1 - p), 0.0, top, xtol=1e-12))


def allen_cunneen_wait_s(
    rate_rps: float, service_s: float, servers: int, cv_arrivals: float, cv_service: float
) -> float:
    """Mean wait of G/G/c ≈ that of M/M/c times (cₐ² + cₛ²)/2 (Allen, Probability, Statistics and Queueing Theory,
    2nd ed., 5.3.6). Good to some 10 % near saturation, poor for c large and ρ small; exact for M/M/c and M/G/1."""
    return (mm_c_mean_s(rate_rps, service_s, servers) - service_s) * (cv_arrivals**2 + cv_service**2) / 2


def kingman_wait_s(rate_rps: float, service_s: float, cv_arrivals: float, cv_service: float) -> float:
    """Mean wait of G/G/1 ≈ ρ/(1−ρ)·(cₐ² + cₛ²)/2·S (Kingman, Math. Proc. Cambridge Phil. Soc. 57, 1961)."""
    rho = rate_rps * service_s
    return rho / (1 - rho) * (cv_arrivals**2 + cv_service**2) / 2 * service_s if rho < 1 else inf
