"""pytest-benchmark harnesses, and `peers/`: our generator beside others on this machine."""
