"""The process that a container runs first, by the container's name: its tree is the service's."""

import shutil
import subprocess

ANSWER_S = 10.0
PROGRAMS = ("docker", "podman", "nerdctl")


def first_process(name: str) -> tuple[int | None, str]:
    """(pid on this machine, or None; why not). Asks whichever of docker, podman and nerdctl is installed."""
    programs = [program for program in PROGRAMS if shutil.which(program)]
    if not programs:
        return None, f"container {name!r} cannot be looked up: there is no docker, podman or nerdctl here; give its pid"
    said = ""
    for program in programs:
        command = [program, "inspect", "--type", "container", "--format", "{{.State.Pid}}", "--", name]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            said = said or f"{program} did not answer within {ANSWER_S:g} s"
            continue
        pid = answer.stdout.strip()
        if answer.returncode == 0 and pid.isdecimal():
            return (int(pid), "") if int(pid) else (None, f"container {name!r} is not running; start it")
        said = said or f"{program}: {(answer.stderr.strip().splitlines() or ['it said nothing'])[-1][:200]}"
    return None, f"container {name!r} was not found ({said}); list them with: {programs[0]} ps"
