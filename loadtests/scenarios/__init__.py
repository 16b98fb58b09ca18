"""Ordinary locustfiles, one per service: `locust -f` runs them as they are, `plimsoll run` drives them open loop."""
