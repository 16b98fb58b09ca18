"""A container's first process, as docker or podman tells it."""

from pathlib import Path

import pytest

from profiles import containers, ports
from targets.contract import Observe


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for a program called docker, which is the only one on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "docker"


def says(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_the_named_container_is_watched_and_asked_for_by_its_name(docker: Path) -> None:
    says(docker, f'echo "$@" > {docker}.asked; echo 4711')
    assert ports.of_service(Observe(container="web"), "http://127.0.0.1:1").roots == (4711,)
    assert Path(f"{docker}.asked").read_text().split() == [
        "inspect", "--type", "container", "--format", "{{.State.Pid}}", "--", "web"
    ]  # fmt: skip


def test_without_any_such_program_that_is_said(docker: Path) -> None:
    assert "there is no docker" in containers.first_process("web")[1]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 0", "is not running; start it"),
        ("echo 'Error: No such container: web' >&2; exit 1", "No such container: web"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "list them with: docker ps"),
    ],
)
def test_what_docker_says_against_it_is_told(docker: Path, script: str, sentence: str) -> None:
    says(docker, script)
    pid, why_not = containers.first_process("web")
    assert pid is None
    assert sentence in why_not


def test_a_pid_that_is_gone_is_said_to_be_gone() -> None:
    assert "there is no process 4194000" in (ports.of_service(Observe(pid=4194000), "http://127.0.0.1:1").why_not or "")
