"""Pieces of a token stream that are noted as they come and understood some at a time.

Each token comes as a chunk of its own; to parse them one by one costs a load process more than all the rest. So while the
framing stands between two chunks, a piece that ends as an event in a chunk does is only kept, with the moment it came at.
No answer ends with such a piece: behind its last chunk stands an empty line, and that is parsed at once.
"""

from __future__ import annotations

EVENT_END = b"\n\n\r\n"
MOST_PIECES, MOST_BYTES = 20, 2_048  # held at once, and of one of them: a fraction of a millisecond's work


def whole_chunks(pieces: list[bytes], came_ns: list[int]) -> tuple[list[bytes], list[int]] | None:
    """(the chunks' data, when each came), where every piece is one whole chunk or several; else None, for the parser."""
    parts = b"".join(pieces).split(b"\r\n")
    if len(parts) == 2 * len(pieces) + 1:  # one chunk a piece, as each ends with a line
        return (parts[1::2], came_ns) if _framed(parts) else None
    bodies: list[bytes] = []
    times: list[int] = []
    for piece, at_ns in zip(pieces, came_ns, strict=True):
        parts = piece.split(b"\r\n")
        if len(parts) % 2 == 0 or not _framed(parts):
            return None
        bodies += parts[1::2]
        times += [at_ns] * (len(parts) // 2)
    return bodies, times


def is_chunked(head: bytes) -> bool:
    return b"\r\ntransfer-encoding: chunked\r\n" in head.lower()


def _framed(parts: list[bytes]) -> bool:
    """Whether lines are sizes and data in turn; a size of zero ends an answer, so that it is none."""
    bodies = parts[1::2]
    sizes = [size.lower() for size in parts[:-1:2]]
    return not parts[-1] and [b"%x" % len(body) for body in bodies] == sizes and all(bodies)
