"""`python -m targets.reference.llm`: the emulator without the command line around it."""

import argparse
from pathlib import Path

from targets.reference.llm import serve


def prices(text: str) -> tuple[float, float]:
    tokens_in, tokens_out = text.split(",")
    return float(tokens_in), float(tokens_out)


parser = argparse.ArgumentParser(prog="python -m targets.reference.llm", description=__doc__)
parser.add_argument("--port", type=int, default=8090, help="0: a free one")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--workers", type=int, default=1, help="engines behind the port")
parser.add_argument("--config", type=Path, help="a parameter file or the name of a shape")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--record", metavar="URL", help="be a proxy before a provider and record it")
parser.add_argument("--record-to", type=Path, metavar="FILE")
parser.add_argument("--price", type=prices, metavar="IN,OUT", help="USD per 1,000 tokens")
parser.add_argument("--max-usd", type=float, help="the most that recording may cost")
parser.add_argument("--replay", type=Path, metavar="FILE", help="serve a recording")
parser.add_argument("--emulate-unrecorded", action="store_true", help="emulate what the recording does not have")
parser.add_argument("--fit", type=Path, metavar="FILE", help="write the parameters behind a recording")
parser.add_argument("--fit-to", type=Path, metavar="FILE")
parser.add_argument("--engine", default="emulator", choices=["emulator", "transformers"])
parser.add_argument("--setup", action="store_true", help="make the environment of the transformers engine first")
serve(**vars(parser.parse_args()))
