"""`python -m targets.reference.llm`: the emulator without the command line around it."""

import argparse
from pathlib import Path

from targets.reference.llm import serve

parser = argparse.ArgumentParser(prog="python -m targets.reference.llm", description=__doc__)
parser.add_argument("--port", type=int, default=8090)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--workers", type=int, default=1)
parser.add_argument("--config", type=Path, help="a TOML file or the name of a shape")
parser.add_argument("--seed", type=int, default=1)
serve(**vars(parser.parse_args()))
