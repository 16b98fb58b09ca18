"""Known vulnerabilities in the locked dependencies, from pip-audit's JSON on standard input; says what could not be looked up.

Exit codes: 0 none known, 1 at least one, 3 no package could be looked up (no advisories within reach).
"""

from __future__ import annotations

import json
import sys
from typing import Any


def told(document: dict[str, Any]) -> tuple[list[str], int]:
    packages = document["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    known = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    if len(skipped) == len(packages):
        return [
            f"none of {len(packages)} packages could be looked up: no advisories within reach; run it where there are"
        ], 3
    lines = [*known, f"{len(packages) - len(skipped)} packages looked up, {len(known)} known vulnerabilities"]
    if skipped:
        lines.append(f"not looked up: {', '.join(skipped)}")
    return lines, 1 if known else 0


if __name__ == "__main__":
    said, code = told(json.load(sys.stdin))
    print("\n".join(said))
    raise SystemExit(code)
