"""Server-sent events as the WHATWG HTML standard reads them (section 9.2), on bytes, whatever way they were cut.

Lines end with CR LF, LF or CR; one byte order mark at the very start is dropped; an event is dispatched by a blank
line; what the end of the stream cuts off is discarded, as the standard says, and reported by `pending`.
"""

MAX_EVENT_BYTES = 1 << 20


class EventReader:
    """`feed` takes chunks and returns the events that became whole, each as (event type, data)."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """ValueError when an event grows past 1 MiB."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if chunk.find(b"\r") >= 0:  # `in` makes and drops an exception each time that it is asked for bytes
            self._after_cr = chunk[-1:] == b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        text = self._rest + chunk if self._rest else chunk
        if not self._begun:
            if len(text) < 3 and b"\xef\xbb\xbf".startswith(text):
                self._rest = text
                return []
            self._begun = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event over {MAX_EVENT_BYTES} bytes")
        return [event for event in map(_event, blocks) if event is not None]

    def one_each(self, chunks: list[bytes]) -> list[bytes] | None:
        """The data of each chunk's event, in a few steps for all of them, when every chunk is one event of one `data:`
        line, as most servers send them; None, and nothing is taken, when `feed` has to look."""
        text, count = b"".join(chunks), len(chunks)
        if (
            self._rest
            or self._after_cr
            or text[:6] != b"data: "
            or text.count(b"\n") != 2 * count
            or text.count(b"\n\ndata: ") != count - 1
            or text.find(b"\r") >= 0
            or [chunk[-2:] for chunk in chunks].count(b"\n\n") != count
        ):
            return None
        self._begun = True
        return text[6:-2].split(b"\n\ndata: ")

    @property
    def pending(self) -> bool:
        """True when bytes of an unfinished event are left over."""
        return bool(self._rest.strip(b"\n"))


def _event(block: bytes) -> tuple[bytes, bytes] | None:
    """One block of lines; None for comments and blocks without data, which dispatch nothing."""
    if block.startswith(b"data: ") and block.find(b"\n") < 0:
        return b"", block[6:]
    kind, data, found = b"", [], False
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and not name:
            continue
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            found = True
            data.append(value)
        elif name == b"event":
            kind = value
    return (kind, b"\n".join(data)) if found else None
