"""`from plimsoll.users import PlimsollUser`: for repositories that have a `loadtests` package of their own."""

from loadtests.user import PlimsollUser

__all__ = ["PlimsollUser"]
