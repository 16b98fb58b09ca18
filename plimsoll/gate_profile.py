"""On FAIL only: a CPU pass of each version in fresh processes, and their difference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from measurements.errors import PlimsollError
from measurements.rundir import RunDirectory
from plimsoll import pair as pairs
from plimsoll.pair import SIDES, Version
from plimsoll.placement import place
from plimsoll.watcher import Watcher
from targets.contract import Contract

SECONDS = 12.0
MOST_FUNCTIONS = 24


def profiled(
    contract: Contract, versions: Sequence[Version], run: RunDirectory, rate_rps: float, watcher: Watcher
) -> dict[str, Any] | None:  # fmt: skip
    """What profiles.compared says, the foremost functions of it. None, with a sentence, where a profiler may not look or a
    version is elsewhere."""
    from profiles import compared, passes

    watcher.phase("FAIL: a profile pass of both versions, to see where the time went")
    folder = run.path / "profiles"
    try:
        for side in SIDES:
            with pairs.running(contract, versions, folder, place(1, True).target, watcher.phase, [side]) as pair:
                roots = pair.roots.get(side)
                if not roots:
                    watcher.phase(f"the {side} is not on this machine: no profile of it")
                    return None
                target = contract.target.model_copy(update={"base_url": pair.urls[0]})
                one = contract.model_copy(update={"target": target})
                one._folder = contract.folder
                where = folder / side
                document = passes.profile(
                    one, where, rate_rps=rate_rps, duration_s=SECONDS, pid=roots[0], want_cpu=True, want_memory=False,
                    say=watcher.phase,
                )  # fmt: skip
                text = json.dumps(document, ensure_ascii=False)
                (where / "profiles" / "profiles.json").write_text(text, encoding="utf-8")
                (where / "profiles.json").write_text(text, encoding="utf-8")
        found = compared.compare(folder / SIDES[0], folder / SIDES[1])
        (folder / "difference.svg").write_text(str(found.pop("svg")), encoding="utf-8")
        (folder / "difference.json").write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        return found | {"functions": found["functions"][:MOST_FUNCTIONS]}
    except PlimsollError as error:
        watcher.phase(f"no profile: {error}")
        return None
    finally:
        watcher.end()
