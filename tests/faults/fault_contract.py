"""The small contract that faults are tried with."""

from pathlib import Path

TEXT = """
[target]
name = "faulted"
base_url = "{url}"
verify_tls = {verify}
[[endpoint]]
name = "search"
path = "/search"
timeout_s = {timeout_s}
"""


def written(folder: Path, url: str, timeout_s: float = 5.0, verify: bool = True, more: str = "") -> Path:
    path = folder / "faulted.toml"
    path.write_text(TEXT.format(url=url, timeout_s=timeout_s, verify=str(verify).lower()) + more, encoding="utf-8")
    return path
