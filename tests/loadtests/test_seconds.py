"""What load processes tell each second is read back in its order, from disk or from memory."""

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


def test_a_disk_that_fills_up_costs_no_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = Seconds(tmp_path)
    seconds.append(told(0))
    file = seconds._file

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(file, name)

        def __iter__(self) -> Any:
            return iter(file)  # type: ignore[arg-type]

        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(seconds, "_file", Full())
    for second in (1, 2):
        seconds.append(told(second))
    assert [news["cpu_cores"] for news in seconds] == [0.0, 0.01, 0.02]
    more = Seconds()
    more += seconds
    assert len(list(more)) == 3
