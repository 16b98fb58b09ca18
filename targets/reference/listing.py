"""What a reference service can be told with --set: name, value if nothing is said, and what it does."""

import importlib
from collections.abc import Iterator

from pydantic import BaseModel

FIXED = ("work_dir", "workers", "behind_proxy", "upstream")  # by options of their own, or by the launcher
Row = tuple[str, str, str]


def settings_of(name: str) -> list[Row]:
    """Of kakao, alaw, encar, saju: their settings. Of llm: the emulator's parameters."""
    if name != "llm":
        settings: type[BaseModel] = importlib.import_module(f"targets.reference.{name}.settings").Settings
        return list(_rows(settings, FIXED))
    from targets.reference.llm.parameters import Parameters, shapes

    rows = [("config", "default", f"one of {', '.join(shapes())}, or a file"), ("seed", "1", "of texts and lengths")]
    for section in Parameters.model_fields:
        part = type(getattr(Parameters(), section))
        rows += [(f"{section}.{key}", value, text) for key, value, text in _rows(part, ())]
    return rows


def _rows(model: type[BaseModel], without: tuple[str, ...]) -> Iterator[Row]:
    for key, field in model.model_fields.items():
        if key not in without:
            default = field.get_default()
            value = (
                "-" if default in (None, "") else str(default).lower() if isinstance(default, bool) else str(default)
            )
            yield key, value, field.description or ""
