"""A template filled in: the one style sheet, everything escaped, a policy that allows nothing but what stands inside."""

import base64
import hashlib
import re
from importlib.resources import files
from secrets import token_hex
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import explore, hangul, said, sorting
from reports.wording import Words

EXPLORED = "data-explore="


def page_of(template: str, words: Words, **fields: Any) -> str:
    """A template filled in, with the one style sheet; everything in `fields` is escaped. Korean glyphs and the scripts for
    charts that can be explored and for tables that can be sorted come along where the page needs them."""
    places = {name: f"{token_hex(16)}-{name}" for name in ("policy", "style", "script")}  # nothing a target could name
    page = _environment(words.lang).get_template(template).render(w=words, lang=words.lang, **places, **fields)
    explored = EXPLORED in page
    parts = [explore.script()] if explored else []
    script = "\n".join(parts + ([sorting.script()] if sorting.SORTABLE in page else []))
    style = files("reports").joinpath("templates").joinpath("report.css").read_text(encoding="utf-8")
    style += (explore.style() if explored else "") + (fonts := hangul.faces(page))
    policy = ["default-src 'none'", f"style-src '{policy_hash(style)}'", "base-uri 'none'", "form-action 'none'"]
    policy += [f"script-src '{policy_hash(script)}'"] if script else []
    policy += ["font-src data:"] if fonts else []
    filled = {"policy": "; ".join(policy), "style": style, "script": f"<script>{script}</script>" if script else ""}
    for name, text in filled.items():
        page = page.replace(places[name], text)
    return page


def policy_hash(source: str) -> str:
    """A Content-Security-Policy source expression that allows exactly this inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _unbroken(value: Any) -> Any:
    """A figure stays on one line with its unit."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return re.sub(r"(?<=\d) (?=(ms|s|min|h|%|MiB|GiB)\b|%)", "\u00a0", value)
    return value


def _environment(lang: str) -> Environment:
    """`said` gives sentences that documents carry in English in the page's language; where it has no other words for one,
    it marks it as English, for screen readers and hyphenation. `say` is that for a part of a sentence, without a mark."""
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["say"] = lambda text: said.say(str(text), lang)
    environment.filters["said"] = lambda text: text if lang == "en" else _said(text, lang)
    return environment


def _said(text: Any, lang: str) -> str:
    if isinstance(text, str) and not isinstance(text, Markup) and (other := said.said(text, lang)):
        return other
    return Markup('<span lang="en">{}</span>').format(text)
