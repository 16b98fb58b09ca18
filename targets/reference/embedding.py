"""Text embeddings and token counts without a model: the same numbers in every process and on every machine.

`embed` hashes character n-grams, so texts that share words or word stems are neighbours, in Korean and in English.
It knows nothing of meaning: synonyms without common letters are strangers. `count_tokens` and `tokenize` follow one
stated rule, close to what real tokenizers give on ordinary Korean and English text, and equal to none of them.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DIMENSIONS = 512
NGRAM_WEIGHTS = {2: 0.6, 3: 1.0, 4: 1.2}  # longer n-grams are rarer, so they say more
_BATCH_CHARACTERS = 200_000  # bounds the temporary arrays to some 20 MB

# One token: up to 2 Hangul syllables, 6 Latin letters or 3 digits, or any other single character; white space belongs
# to the token after it. About 1.25 tokens per English word; a Korean word of 3 or 4 syllables is 2.
_TOKEN = re.compile(r"\s*(?:[가-힣]{1,2}|[A-Za-z]{1,6}|[0-9]{1,3}|[^\sA-Za-z0-9가-힣])|\s+")

# What every polite Korean or English sentence has says nothing about its subject; without this they are all neighbours.
_COMMON = re.compile(
    r"\b(?:the|a|an|of|to|in|on|for|and|or|is|are|was|be|it|this|that|with|as|at|by|from|i|you|we|my|your|our|"
    r"do|does|did|can|could|would|should|will|what|how|when|where|which|please|me|tell)\b"
    r"|\b(?:어떻게|방법|알려|알고|싶|무엇|언제|어디|해줘|해주|주세|주시|부탁)[가-힣]*"
    r"|(?:하였|했|합|됩|있|없|입|습|드립)?(?:습니다|니다|니까|세요|어요|아요|에요|예요|나요|까요|네요)(?=\W|$)"
    r"|(?:에서|에게|으로|부터|까지|하고|이나|은|는|이|가|을|를|의|에|로|도|와|과)(?=\s|$)"
)
_SPACE = re.compile(r"\s+")


def tokenize(text: str) -> list[str]:
    """Split into tokens; joined they give the text back."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Number of tokens of `tokenize`."""
    return len(_TOKEN.findall(text))


def embed(texts: Sequence[str], dimensions: int = DIMENSIONS) -> npt.NDArray[np.float32]:
    """Unit vectors of shape (len(texts), dimensions); a text without any letter or digit gives a zero vector.

    Signed feature hashing (Weinberger et al. 2009) of the character 2-, 3- and 4-grams of the normalised text, each
    count damped by its square root. The dot product of two rows is their cosine similarity.
    """
    vectors = np.zeros((len(texts), dimensions), dtype=np.float32)
    normalised = [_normalise(text) for text in texts]
    start = size = 0
    for end, text in enumerate(normalised, 1):
        size += len(text)
        if size >= _BATCH_CHARACTERS or end == len(normalised):
            vectors[start:end] = _hash(normalised[start:end], dimensions)
            start, size = end, 0
    return vectors


def _normalise(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower()
    kept = _COMMON.sub(" ", text)
    core = _SPACE.sub(" ", "".join(c if c.isalnum() else " " for c in kept)).strip()
    if not core:  # nothing but common words: then they are all there is
        core = _SPACE.sub(" ", "".join(c if c.isalnum() else " " for c in text)).strip()
    return f" {core} " if core else ""


def _hash(texts: list[str], dimensions: int) -> npt.NDArray[np.float32]:
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    total = np.zeros(len(texts) * dimensions)
    for n, weight in NGRAM_WEIGHTS.items():
        count = len(points) - n + 1
        if count <= 0:
            continue
        code = np.full(count, 1469598103934665603 + n, dtype=np.uint64)
        for offset in range(n):
            code = (code ^ points[offset : offset + count]) * np.uint64(1099511628211)  # FNV-1a over code points
        code ^= code >> np.uint64(29)  # the low bits of FNV alone mix badly
        code *= np.uint64(0xBF58476D1CE4E5B9)
        code ^= code >> np.uint64(32)
        inside = row[:count] == row[n - 1 :]
        cell = row[:count][inside] * dimensions + (code[inside] % np.uint64(dimensions)).astype(np.int64)
        sign = np.where(code[inside] >> np.uint64(63), 1.0, -1.0)
        counts = np.bincount(cell, weights=sign, minlength=total.size)
        total += weight * np.sign(counts) * np.sqrt(np.abs(counts))
    matrix = total.reshape(len(texts), dimensions)
    norm = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, norm, out=np.zeros_like(matrix), where=norm > 0).astype(np.float32)
