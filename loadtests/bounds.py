"""How much of what a server sends is taken in; a hostile one is cut off here."""

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 64 * 2**20  # also the limit of a decoded body
