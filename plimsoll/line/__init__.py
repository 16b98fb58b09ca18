"""The words of the command line, by what they are about. Each command's work is in `plimsoll.commands`, imported when it
is called. Public: `app`, with every command in the order of the help."""

from plimsoll.line.words import app

# isort: split
from plimsoll.line import services

# isort: split
from plimsoll.line import load

# isort: split
from plimsoll.line import capacity

# isort: split
from plimsoll.line import versions

# isort: split
from plimsoll.line import upkeep

__all__ = ["app", "capacity", "load", "services", "upkeep", "versions"]
