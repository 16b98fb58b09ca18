"""Prints the Python that `make setup` makes its environment with: python3, or another of this machine that is much faster.

A Python compiled without profile-guided optimisation, which is how pyenv builds one unless told otherwise, runs a load
process at half the speed of a distribution's. Works with any Python 3 that happens to be called python3.
"""

import subprocess
import sys

PLACES = ("python3", "/usr/bin/python3", "/usr/local/bin/python3")
FASTER = 1.3
# the kind of work that a load process does: calls, attributes, bytes; CPU seconds of the best of some rounds
PROBE = """
import ensurepip, sys, time, venv
class Row:
    __slots__ = ("seq", "sum")
    def __init__(self, seq): self.seq, self.sum = seq, 0
    def add(self, more): self.sum += more; return self.told(more)
    def told(self, more): return b"%b%016x-%d" % (b"abc", more, self.sum)
def rounds(n):
    row, kept = Row(1), {}
    for k in range(n): kept[k & 63] = row.add(k); Row(k)
best = 9.0
for _ in range(7):
    begun = time.process_time(); rounds(20000); best = min(best, time.process_time() - begun)
print(best, *sys.version_info[:3])
"""


def measured(python):
    """(CPU seconds of the probe, version), or None where it is absent, older than 3.11 or cannot make environments."""
    try:
        said = subprocess.run(
            [python, "-c", PROBE], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30
        )
        seconds, *version = said.stdout.split()
        version = tuple(map(int, version))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return (float(seconds), version) if version >= (3, 11) else None


def chosen(found):
    """(the python to take, a sentence or ""); `found`: path -> what `measured` said, python3 first."""
    usual, usable = PLACES[0], {place: said for place, said in found.items() if said}
    if not usable:
        return usual, ""  # whoever calls it says what is wrong with it
    best = min(usable, key=lambda place: usable[place][0])
    if usual not in usable:
        return best, f"python3 cannot be used; taking {best} (Python {spelt(usable[best][1])})"
    times = usable[usual][0] / usable[best][0]
    if times < FASTER:
        return usual, ""
    return best, (
        f"taking {best} (Python {spelt(usable[best][1])}): it is {times:.1f} times as fast as python3, which seems to be compiled "
        "without optimisation; load is driven that much faster. Choose yourself with: make PYTHON=python3 setup"
    )


def compared(measure, places=PLACES, rounds=3):
    """path -> the best of some measurements of each, in turn: what else this machine does then meets all of them."""
    found = {}
    for _ in range(rounds):
        for place in places:
            said = measure(place) if found.get(place, ()) is not None else None
            found[place] = min(said, found.get(place) or said) if said else None
    return found


def spelt(version):
    return ".".join(map(str, version))


if __name__ == "__main__":
    python, why = chosen(compared(measured))
    if why:
        print(why, file=sys.stderr)
    print(python)
