"""What can go wrong, as a tree, and the exit code that each branch ends with.

    PlimsollError
    ├── Refused            5  for safety or money
    ├── UsageError         2  command line or contract
    │   └── ContractError  2  a sentence per finding, with file and key
    ├── TargetUnreachable  4
    ├── Interrupted      130  what was measured is kept
    ├── InvalidMeasurement 3  also: a plan that holds only refusals
    │   └── GeneratorFault 3  our own machine's fault, never the target's
    └── FormatError        2  a run file of another version, or damaged

A failed request is none of these: it is a row.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; where several apply, `first` picks by the documented order."""

    OK = 0
    SLO_MISSED = 1
    USAGE = 2
    INVALID = 3
    UNREACHABLE = 4
    REFUSED = 5
    UNSURE = 6
    INTERRUPTED = 130

    @classmethod
    def first(cls, *codes: "Exit") -> "Exit":
        order = (
            cls.REFUSED,
            cls.USAGE,
            cls.UNREACHABLE,
            cls.INTERRUPTED,
            cls.INVALID,
            cls.SLO_MISSED,
            cls.UNSURE,
        )
        return next((code for code in order if code in codes), cls.OK)


class PlimsollError(Exception):
    """A sentence for a person: what happened, where, what to do. Never shown with a traceback."""

    exit_code = Exit.USAGE


class Refused(PlimsollError):
    exit_code = Exit.REFUSED


class UsageError(PlimsollError):
    exit_code = Exit.USAGE


class ContractError(UsageError):
    """`findings` holds one sentence each; str() joins them with line breaks."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("\n".join(findings))


class FormatError(UsageError):
    pass


class TargetUnreachable(PlimsollError):
    exit_code = Exit.UNREACHABLE


class Interrupted(PlimsollError):
    exit_code = Exit.INTERRUPTED


class InvalidMeasurement(PlimsollError):
    exit_code = Exit.INVALID


class GeneratorFault(InvalidMeasurement):
    pass
