"""The two versions of a gate: started or found, on their own ports, in their own folders, watched as two trees."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from measurements.errors import TargetUnreachable, UsageError
from plimsoll import permission
from profiles.ports import listening
from targets.contract import Contract
from targets.control import Deployment, Say
from targets.urls import base_url, resolve

SIDES = ("baseline", "candidate")
GIT_S = 60.0


@dataclass(frozen=True)
class Version:
    """Where a version comes from: a `url` that runs already; else it is started, by `start` (absent: the contract's
    command), from git revision `ref` (absent: the files as they are)."""

    label: str
    url: str | None = None
    start: str | None = None
    ref: str | None = None


@dataclass
class Pair:
    """Both versions, running. Index 0 is the baseline. `halves`: cores of each, where there are enough to part them."""

    urls: list[str] = field(default_factory=list)
    roots: dict[str, list[int]] = field(default_factory=dict)
    needs: dict[str, list[int]] = field(default_factory=dict)
    services: list[dict[str, Any]] = field(default_factory=list)
    halves: tuple[list[int], list[int]] | None = None
    _deployments: dict[str, Deployment] = field(default_factory=dict)

    def died(self) -> dict[str, str]:
        """version → a sentence, for each whose process is gone."""
        return {side: said for side, deployment in self._deployments.items() if (said := deployment.died())}

    @property
    def all_roots(self) -> dict[str, list[int]]:
        return self.roots | self.needs


@contextmanager
def running(
    contract: Contract, versions: Sequence[Version], folder: Path, cpus: Sequence[int], say: Say,
    sides: Sequence[str] = SIDES,
) -> Iterator[Pair]:  # fmt: skip
    """Fresh processes; what was started is stopped at the end. TargetUnreachable says which version did not come up.

    `sides`: only these, for versions that cannot run side by side.
    """
    pair = Pair(halves=halves(cpus) if len(sides) > 1 else None)
    with ExitStack() as stack:
        for side, version in zip(SIDES, versions, strict=True):
            if side not in sides:
                continue
            if version.url is not None:
                _found(pair, side, version.url)
                continue
            where = stack.enter_context(worktree(version.ref, folder / f"{side}-source")) if version.ref else Path.cwd()
            logs = folder / side
            logs.mkdir(parents=True, exist_ok=True)
            cores = pair.halves[SIDES.index(side)] if pair.halves else cpus
            deployment = Deployment(
                _with_start(contract, version, side), logs, cpus=cores, folder=where,
                say=partial(_say_of, say, side),
            )  # fmt: skip
            try:
                stack.enter_context(deployment)
            except (TargetUnreachable, UsageError) as error:
                raise type(error)(f"the {side} ({version.label}) did not start: {error}") from None
            pair.urls.append(deployment.base_urls[0])
            pair.roots[side] = deployment.roots["target"]
            pair.needs |= {f"{side} {role}": pids for role, pids in deployment.roots.items() if role != "target"}
            pair.services += [
                {"role": f"{side} {role}".removesuffix(" target"), "pid": p.pid, "command": p.command}
                for role, processes in deployment.processes.items()
                for p in processes
            ]
            pair._deployments[side] = deployment
        yield pair


def halves(cpus: Sequence[int]) -> tuple[list[int], list[int]] | None:
    """The cores left to the service, parted between both versions; None where they must share one."""
    half = len(cpus) // 2
    return (list(cpus[:half]), list(cpus[half : 2 * half])) if half else None


def _say_of(say: Say, side: str, sentence: str) -> None:
    say(f"{side}: {sentence}")


@contextmanager
def worktree(ref: str, folder: Path) -> Iterator[Path]:
    """The repository at `ref`, checked out beside the run, and there the folder that corresponds to the current one."""
    top = Path(git("rev-parse", "--show-toplevel"))
    commit = git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    git("worktree", "add", "--detach", "--force", str(folder.absolute()), commit)
    try:
        inside = folder.absolute() / Path.cwd().resolve().relative_to(top.resolve())
        if not inside.is_dir():
            raise UsageError(
                f"revision {ref} has no folder {inside.relative_to(folder.absolute())}; run from one that it has"
            )
        yield inside
    finally:
        with suppress(UsageError):
            git("worktree", "remove", "--force", str(folder.absolute()))
        shutil.rmtree(folder, ignore_errors=True)


def git(*words: str) -> str:
    """UsageError with what git said."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"git {words[0]} did not work ({error}); give URLs or start commands instead of revisions"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:300] or f"nothing is known as {words[-1].removesuffix('^{commit}')}"
        raise UsageError(
            f"git {' '.join(words[:2])}: {said}; name a revision of this repository, a URL or a run directory"
        )
    return done.stdout.strip()


def reachable(side: str, url: str) -> None:
    """One connection, so that a wrong address is a sentence; Refused where load may not go."""
    parts, address = base_url(url), resolve(url)
    permission.check(url, address, 0.0)
    if parts.scheme == "unix":
        return
    try:
        socket.create_connection((address, parts.port or (443 if parts.scheme == "https" else 80)), timeout=5).close()
    except OSError as error:
        why = error.strerror or error
        raise TargetUnreachable(
            f"the {side} {url} does not answer ({why}); start it, or say how with --{side}-start"
        ) from error


def _with_start(contract: Contract, version: Version, side: str) -> Contract:
    control = contract.target.control
    if control is None and version.start is None:
        raise UsageError(
            f"the {side} ({version.label}) would have to be started, but the contract has no [target.control]; "
            f"say how with --{side}-start, or give its URL"
        )
    if version.start is None:
        return contract
    from targets.contract import Control

    started = (
        control.model_copy(update={"start": version.start})
        if control
        else Control.model_validate({"start": version.start})
    )
    changed = contract.model_copy(update={"target": contract.target.model_copy(update={"control": started})})
    changed._folder = contract.folder
    return changed


def _found(pair: Pair, side: str, url: str) -> None:
    permission.check(url, resolve(url), 0.0)
    found = listening(url)
    pair.urls.append(url)
    pair.roots[side] = list(found.roots)
    pair.services.append({"role": side, "url": url, "not_observed": found.why_not, "note": found.note})
