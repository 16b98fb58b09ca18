"""What load processes tell each second is read back in its order, from disk or from memory."""

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from loadtests.seconds import Seconds


def told(second: int) -> dict[str, Any]:
    return {"worker": 0, "elapsed_s": 1.0, "cpu_cores": second / 100, "echo_us": [second, 5], "histogram": [[1, 2]]}


@pytest.mark.parametrize("on_disk", [True, False])
def test_every_second_comes_back_as_often_as_it_is_asked_for(on_disk: bool, tmp_path: Path) -> None:
    seconds = Seconds(tmp_path if on_disk else None)
    for second in range(5):
        seconds.append(told(second))
        next(iter(seconds))  # a look in between changes nothing
    for _ in range(2):
        assert [news["cpu_cores"] for news in seconds] == [0.0, 0.01, 0.02, 0.03, 0.04]
        assert [list(news["echo_us"]) for news in seconds] == [[second, 5] for second in range(5)]
    assert not any("histogram" in news for news in seconds)
    assert list(tmp_path.iterdir()) == [], "its file has no name, so that nothing can be left of it"


def test_a_disk_that_fills_up_costs_no_second(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's end: the second line is cut off, later ones find no room."""
    seconds = Seconds(tmp_path)
    seconds.append(told(0))
    length = os.fstat(seconds._file.fileno()).st_size if seconds._file else 0
    assert length > 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length + 10, hard))
    try:
        seconds.append(told(1))
        seconds.append(told(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [news["cpu_cores"] for news in seconds] == [0.0, 0.01, 0.02]
    more = Seconds()
    more += seconds
    assert len(list(more)) == 3
