"""Counts the tokens of an answer whose server does not say how many they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from measurements.errors import UsageError
from targets.contract import Contract, Endpoint

Count = Callable[[str], int]


def counter(endpoint: Endpoint, contract: Contract) -> Count | None:
    """For the endpoint's `tokenizer`, a tokenizer.json of Hugging Face; None where it names none."""
    if endpoint.tokenizer is None:
        return None
    path = contract.beside(endpoint.tokenizer)
    where = f"endpoint {endpoint.name}: tokenizer = {endpoint.tokenizer!r}"
    if not path.is_file():
        raise UsageError(f"{where}: there is no file {path}; give the tokenizer.json of the model")
    return _counter(path, where)


def _counter(path: Path, where: str) -> Count:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UsageError(
            f"{where} needs the package tokenizers: pip install tokenizers, or leave the key out"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing more special
        raise UsageError(f"{where}: {path} is no tokenizer.json ({str(error)[:200]})") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
