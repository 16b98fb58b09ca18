"""How much of what a server sends is taken in; a hostile one is cut off here."""

MAX_HEAD_BYTES = 65_536
LARGE_BODY_BYTES = 2**20  # from here on a body counts against what all of them may hold
MAX_HELD_BYTES = 2**30  # of large bodies at once, per load process
MAX_BODY_BYTES = 64 * 2**20  # also the limit of a decoded body
