"""Text from a log, made harmless for terminals, comments and JSON."""


def printable(raw: bytes | str, longest: int) -> str:
    """At most `longest` characters, then an ellipsis. Escapes, control and formatting characters become \\xNN."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    shown = "".join(character if character.isprintable() else _escaped(character) for character in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
