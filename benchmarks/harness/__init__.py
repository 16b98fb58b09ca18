"""What single requests and hot pieces cost: pytest-benchmark harnesses, run by `make bench`.

`bench_*.py` are pytest files, collected by `__main__` and imported by nobody; `results` reads what they left, `table`
prints it, `comparison` sets it beside a saved set. The load that a service carries is `plimsoll run`'s business.
"""
