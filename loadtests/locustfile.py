"""Imports somebody's locustfile as Locust does, without our packages standing in its way."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from locust import User
from locust.util.load_locustfile import is_user_class

from measurements.errors import UsageError

ROOMS = ("plimsoll", "targets", "loadtests", "profiles", "measurements", "benchmarks", "capacity", "reports")


def user_classes(path: Path) -> list[type[User]]:
    """The user classes of a locustfile. UsageError when it cannot be imported or has none."""
    if not path.is_file():
        raise UsageError(f"there is no locustfile {path}; name a Python file with -f FILE")
    if path.suffix != ".py":
        raise UsageError(f"{path} is no locustfile: a locustfile is Python, and its name ends with .py")
    module = _import(path.resolve())
    found: list[Any] = [value for name, value in vars(module).items() if is_user_class(value)]
    if not found:
        raise UsageError(f"{path} has no user class with tasks; write class Visitor(PlimsollUser) with an @task")
    for user in found:
        if not user.tasks:
            raise UsageError(
                f"{path}: class {user.__name__} has no tasks; write @task above one of its methods, or abstract = True"
            )
    return found


def _import(path: Path) -> ModuleType:
    """The folder of the locustfile and the current folder come first; what they have under a name of ours is theirs."""
    folders = [str(path.parent), str(Path.cwd())]
    for room in ROOMS:
        if any(_has_package(Path(folder), room) for folder in folders if not _is_ours(Path(folder))):
            for name in [name for name in sys.modules if name == room or name.startswith(f"{room}.")]:
                del sys.modules[name]
    sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = next((f" (line {t.lineno})" for t in _frames(error) if t.filename == str(path)), "")
        raise UsageError(f"{path}{line} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _frames(error: BaseException) -> list[Any]:
    import traceback

    return list(reversed(traceback.extract_tb(error.__traceback__)))


def _has_package(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _is_ours(folder: Path) -> bool:
    return (folder / "loadtests" / "locustfile.py").is_file() and (folder / "measurements" / "sample.py").is_file()
