"""Heads of answers that the parser has read before, byte for byte: such an answer, whole in one piece, needs no parser.

A service that answers the same question a thousand times a second sends the same head again, but for its Date.
"""

from __future__ import annotations

from loadtests.judge import header

MOST, LONGEST_BYTES = 256, 2_048
LONGEST_PAUSE = 4_096
END = b"\r\n\r\n"


class KnownHeads:
    """head → (status, length of its body). Of a service whose heads never come again it stops learning: after each lesson
    that nobody used it sits out twice as many answers as after the one before."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, int]] = {}
        self._pause = self._sits_out = 0

    def look(self, piece: bytes, end: int) -> int:
        """The status of the answer that `piece` is from its first byte to its last, its head up to `end`; 0 where that is not
        known."""
        found = self._known.get(piece[:end])
        if found is None or len(piece) - end != found[1]:
            return 0
        self._pause = 0
        return found[0]

    def learn(self, head: bytes, status: int, body_bytes: int) -> None:
        """What the parser made of an answer on a connection that stays open; `head` may have the body behind it."""
        if self._sits_out:
            self._sits_out -= 1
            return
        self._sits_out = self._pause = min(2 * self._pause + 1, LONGEST_PAUSE)
        end = head.find(END) + 4
        if (
            end > LONGEST_BYTES
            or header(head, b"transfer-encoding")
            or header(head, b"content-length") != b"%d" % body_bytes
        ):
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[head[:end]] = (status, body_bytes)
