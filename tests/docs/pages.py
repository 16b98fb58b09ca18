"""The documentation as the tests see it: pages, fenced blocks, headings."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HOW_TO = ROOT / "docs" / "how-to"
FENCE = re.compile(r"^```(\w*) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` "run" means that a test executes it."""

    page: Path
    language: str
    mark: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for language, mark, text in FENCE.findall(page.read_text(encoding="utf-8")):
        yield Block(page, language, mark, text)


def without_blocks(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every command line in the sh blocks of all pages; comments and here-documents are left out."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh":
                lines = re.sub(r"<<'(\w+)'.*?^\1$", "", block.text, flags=re.MULTILINE | re.DOTALL).splitlines()
                words = [shlex.split(line, comments=True) for line in lines]
                found += [(str(page.relative_to(ROOT)), line) for line in words if line]
    return found


def tracked() -> list[Path]:
    """Every file of the repository but what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in said.split("\0") if name and (path := ROOT / name).is_file()]


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes them into anchors."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def script(path: str) -> ModuleType:
    """A script of the repository that lies in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
