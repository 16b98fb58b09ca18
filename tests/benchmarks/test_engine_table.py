"""`make engine` writes its table in pieces: what was measured anew replaces its old rows, the rest stays."""

from pathlib import Path

from benchmarks.engine.__main__ import Figure, _kept, _markdown
from benchmarks.published import written


def test_rows_of_a_case_that_is_measured_again_are_replaced_and_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    page.write_text("<!-- engine -->\n<!-- /engine -->\n", encoding="utf-8")
    timer, load = Figure("a bare timer on that core", "late", "1 ms"), Figure("open loop, 10 s", "late", "2 ms")
    for figures in ([timer, load], [Figure(timer.case, "late", "3 ms"), Figure("open loop, 5 s", "late", "4 ms")]):
        written(page, "engine", _markdown(figures, _kept(page, figures)))
    text = page.read_text(encoding="utf-8")
    assert "3 ms" in text and "4 ms" in text and "1 ms" not in text and "2 ms" not in text
    written(page, "engine", _markdown([load], _kept(page, [load])))
    assert "3 ms" in page.read_text(encoding="utf-8")
