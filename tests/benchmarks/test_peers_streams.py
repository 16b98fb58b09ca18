"""The table of token streams beside other generators."""

from benchmarks.peers.streams import Reported, Row, cells


def test_a_quantile_that_a_report_holds_back_is_said_and_costs_no_table() -> None:
    rows = [
        Row("plimsoll", 32, Reported(3_200.0, 10.5, None), 10.1, 10.9, 0.2, 0.3),
        Row("other", 32, None, 10.1, 10.9, 0.2, 0.99),
    ]
    held, none = cells(rows)
    assert "10.50 / held back" in held and "no result" not in held
    assert "no result" in none and any("it is the limit" in cell for cell in none)
