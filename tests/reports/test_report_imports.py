"""Each module of the room can be the first that is imported: a command imports just the one that it needs."""

import pkgutil
import subprocess
import sys

import reports


def test_every_module_can_be_imported_first() -> None:
    names = [f"reports.{module.name}" for module in pkgutil.walk_packages(reports.__path__)]
    code = (
        "import sys\n"
        "known = set(sys.modules)\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'reports']:\n"
        "        del sys.modules[loaded]\n"
        "    __import__(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-600:]
