"""`Server-Timing`: where the service says its time went (W3C Server Timing). Strict and bounded: a target writes it."""

import re

MOST_BYTES = 4_096
MOST_STAGES = 32
MOST_MS = 86_400_000.0  # a day

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e]){0,256}"'
_METRIC = re.compile(rf"({_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}[ \t]*=[ \t]*(?:{_QUOTED}|{_TOKEN}))*)[ \t]*(?:,|\Z)")
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*({_QUOTED}|{_TOKEN})")
_DURATION = re.compile(r"\d{1,12}(?:\.\d{1,12})?\Z", re.ASCII)


def server_timing(header: str | bytes) -> dict[str, float]:
    """Milliseconds by stage name; a stage named twice (two upstream calls) is added up.

    A stage without a usable `dur` (absent, negative, not a number, over a day) is left out. A header that breaks the
    grammar, is longer than 4,096 bytes or names more than 32 stages gives nothing at all: half of a breakdown misleads.
    """
    if len(header) > MOST_BYTES:
        return {}
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    stages: dict[str, float] = {}
    position = metrics = 0
    while position < len(text):
        if text[position] in " \t,":  # RFC 9110 5.6.1: empty elements of a list mean nothing
            position += 1
            continue
        metric = _METRIC.match(text, position)
        metrics += 1
        if metric is None or metrics > MOST_STAGES:
            return {}
        position = metric.end()
        parameters: dict[str, str] = {}
        for name, value in _PARAMETER.findall(metric[2]):
            parameters.setdefault(name.lower(), value.strip('"'))
        duration = parameters.get("dur", "")
        if _DURATION.match(duration) and float(duration) <= MOST_MS:
            stages[metric[1]] = stages.get(metric[1], 0.0) + float(duration)
    return stages
