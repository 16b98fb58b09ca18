"""For all rooms: no test process ever has gevent in it (a rule of the house), and no property has a time limit."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def no_gevent_in_this_process() -> Iterator[None]:
    yield
    assert not {"gevent", "locust"} & sys.modules.keys(), "this test imported gevent or locust; run load in a child"
