"""Parents and children as the observer keeps them up from one look to the next."""

import subprocess
import sys
import time

from profiles import processes
from profiles.family import Family

PARENT = (
    "import subprocess, sys, threading\n"
    "start = lambda: subprocess.Popen([sys.executable, '-S', '-c', 'input()'], stdin=subprocess.PIPE)\n"
    "sys.stdin.readline()\n"
    "first = start()\n"
    "thread = threading.Thread(target=start); thread.start(); thread.join()\n"
    "print('born', flush=True)\n"
    "sys.stdin.readline()\n"
    "first.kill(); first.wait()\n"
    "print('ended', flush=True)\n"
    "sys.stdin.readline()\n"
)


def test_children_born_between_two_looks_are_known_whichever_thread_bore_them_and_forgotten_when_they_end() -> None:
    family = Family()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin and parent.stdout
        family.look()
        assert family.children(parent.pid) == []
        for word, how_many in ((b"born\n", 2), (b"ended\n", 1)):
            parent.stdin.write(b"\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == word
            family.look()
            found = family.children(parent.pid)
            assert found is not None and len(found) == how_many
            assert sorted(processes.tree([parent.pid], (), family.children)) == sorted(processes.tree([parent.pid]))
        parent.stdin.close()
    time.sleep(0.05)
    family.look()
    assert family.children(parent.pid) is None
