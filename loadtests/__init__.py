"""Driving load: arrivals, the fast client, Locust users, `scenarios/` (locustfiles), the runner.

Public names for locustfiles: `user.PlimsollUser` (a Locust user whose client is fast and exact). For the command line:
`runner.run`, `plan.LoadPlan`, `shapes.stages`. Whatever imports gevent runs in child processes only.
"""

from loadtests.compiled import choose

choose()
