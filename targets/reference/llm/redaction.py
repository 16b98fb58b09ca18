"""Takes secrets out of what is recorded: by the name of a field, and by the look of a text."""

import re
from typing import Any
from urllib.parse import urlsplit

REMOVED = "[removed]"
KEPT_HEADERS = re.compile(
    r"^(content-type|retry-after|retry-after-ms|x-ratelimit-[\w-]+|anthropic-ratelimit-[\w-]+|(x-)?request-id|"
    r"openai-processing-ms|x-emulator|x-plimsoll-timing)$"
)
_SECRET_NAME = re.compile(
    r"(api[-_]?key|(^|[-_])key$|secret|passw|authorization|credential|cookie|private[-_]?key|"
    r"(access|auth|refresh|id|session|bearer)[-_]?token|^token$|signature)",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"\b(?:sk|pk|rk|ghp|gho|xox[abprs]|hf|glpat)[-_][A-Za-z0-9_*-]{12,}|\bAKIA[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)


def text(value: str) -> str:
    """The text without what looks like a key, a bearer token, a JWT or a private key."""
    return _SECRET_TEXT.sub(REMOVED, value)


def json_value(value: Any) -> Any:
    """The same JSON with secret-looking fields and texts replaced."""
    if isinstance(value, dict):
        return {
            key: REMOVED if _SECRET_NAME.search(key) and not isinstance(item, (dict, list, bool)) else json_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [json_value(item) for item in value]
    return text(value) if isinstance(value, str) else value


def headers(given: dict[str, str]) -> dict[str, str]:
    """Only those headers that timing, limits and replay need."""
    return {name: text(value) for name, value in given.items() if KEPT_HEADERS.match(name)}


def address(url: str) -> str:
    """A URL without user, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
