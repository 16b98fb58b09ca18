"""Real stores for a test, each on a free loopback port with its files in the test's folder: Redis, PostgreSQL, MariaDB."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.reference.serving import free_port, stop

START_S = 30.0
DATABASE = "plimsoll"


def need(program: str, package: str) -> str:
    """Its path; where it is not installed the test is skipped and says what would bring it."""
    debian = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    folders = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *debian]
    return shutil.which(program, path=os.pathsep.join(folders)) or pytest.skip(
        f"{program} is not installed (apt-get install {package}); the service is tested with its embedded store only"
    )


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [need("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with _running([*command, "--dir", str(folder)], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """It refuses to be run by root; then its own user runs it."""
    initdb, server = need("initdb", "postgresql"), need("postgres", "postgresql")
    user = "postgres" if os.getuid() == 0 else None
    data, port = folder / "postgresql", free_port()
    data.mkdir()
    if user:
        shutil.chown(data, user)
        for above in (folder, *folder.parents):
            with contextlib.suppress(PermissionError):
                above.chmod(above.stat().st_mode | 0o011)
    made = [initdb, "-D", str(data), "-U", DATABASE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, user=user, cwd=data, env=_environment(user))
    command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data), "-F"]
    with _running(command, port, user=user, cwd=data):
        yield f"postgresql+psycopg://{DATABASE}@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """A user that comes over TCP, and a database whose text is all of Unicode."""
    install, server = need("mariadb-install-db", "mariadb-server"), need("mariadbd", "mariadb-server")
    data, port, first = folder / "mariadb", free_port(), folder / "first.sql"
    me = pwd.getpwuid(os.getuid()).pw_name
    made = [install, "--no-defaults", f"--datadir={data}", f"--user={me}", "--auth-root-authentication-method=normal"]
    subprocess.run([*made, "--skip-test-db"], check=True, capture_output=True)
    first.write_text(
        f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;\n"
        f"CREATE USER '{DATABASE}'@'127.0.0.1' IDENTIFIED BY 'secret';\n"
        f"GRANT ALL ON {DATABASE}.* TO '{DATABASE}'@'127.0.0.1';\n"
    )
    command = [
        server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
        f"--socket={data}/s", f"--user={me}", f"--init-file={first}", f"--pid-file={data}/pid",
    ]  # fmt: skip
    with _running(command, port):
        yield f"mysql+pymysql://{DATABASE}:secret@127.0.0.1:{port}/{DATABASE}?charset=utf8mb4"


@contextlib.contextmanager
def _running(command: list[str], port: int, user: str | None = None, cwd: Path | None = None) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, user=user, cwd=cwd, env=_environment(user))
    until_s = time.monotonic() + START_S
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None and time.monotonic() < until_s, f"{command[0]} did not start"
            time.sleep(0.05)
        yield
    finally:
        stop(process)


def _environment(user: str | None) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "HOME": "/"} if user else dict(os.environ)
