"""A gate for CI: JUnit XML, the Markdown of a summary or a comment, annotations within GitHub's limits."""

from __future__ import annotations

from xml.etree import ElementTree

from reports import gate_text
from reports.documents import Document, listed
from reports.markdown import escape
from reports.wording import Words

MOST_ANNOTATIONS = 10  # GitHub shows ten errors and ten warnings of a step, and drops the rest
MOST_COMMENT_CHARS = 60_000  # a comment holds 65,536, a step summary 1 MiB
FAILED, UNSURE = {"FAIL"}, {"INVALID", "BLIND", "INCONCLUSIVE"}


def junit(document: Document, lang: str = "en") -> str:
    """A test case per primary and one for the gate: FAIL is a failure, INVALID an error, what is unsure is skipped —
    unless `on_unsure` is fail."""
    words = Words(lang)
    name = f"plimsoll gate {document.get('target')}"
    suite = ElementTree.Element("testsuite", {"name": _clean(name)})
    verdict = str(document.get("verdict"))
    strict = document.get("on_unsure") == "fail"
    _case(
        suite,
        name,
        "verdict",
        verdict,
        gate_text.headline(document, words),
        "\n".join(document.get("reasons") or []),
        strict,
    )
    for row in gate_text.rows(document, words):
        if row.primary:
            text = f"{row.baseline} → {row.candidate}, {row.change} [{row.interval}], p {row.p_value}"
            _case(suite, name, row.what, row.verdict, text, row.why, strict)
    for tag, key in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(key, str(len(suite.findall(f"*/{tag}"))))
    suite.set("tests", str(len(suite)))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _case(
    suite: ElementTree.Element, group: str, name: str, verdict: str, message: str, text: str, strict: bool
) -> None:
    case = ElementTree.SubElement(suite, "testcase", {"classname": _clean(group), "name": _clean(name)})
    if verdict in FAILED or (strict and verdict in UNSURE - {"INVALID"}):
        tag = "failure"
    elif verdict == "INVALID":
        tag = "error"
    elif verdict in UNSURE:
        tag = "skipped"
    else:
        return
    element = ElementTree.SubElement(case, tag, {"message": _clean(f"{verdict}: {message}")})
    element.text = _clean(text) or None


def markdown(document: Document, lang: str = "en") -> str:
    """For a step summary or a pull request's comment; everything that comes from a target is escaped."""
    words = Words(lang)
    verdict = str(document.get("verdict"))
    icon = gate_text.ICONS[gate_text.TONES.get(verdict, "warn")]
    found = [f"## {escape(words('gate.title', name=document.get('target')))}", ""]
    found += [f"**{icon} {escape(verdict)}** {escape(gate_text.headline(document, words))}", ""]
    found += [f"- {escape(str(reason))}" for reason in document.get("reasons") or []]
    found += [f"- {escape(line)}" for line in gate_text.accepted_lines(document, words)]
    found += [f"- {escape(str(note))}" for note in [*(document.get("notes") or []), *gate_text.dearer(document, words)]]
    heads = [words("column.metric"), words("column.result"), words("gate.baseline"), words("gate.candidate"),
             words("gate.change"), words("gate.interval"), words("gate.smallest")]  # fmt: skip
    found += ["", "| " + " | ".join(escape(head) for head in heads) + " |", "|---" * len(heads) + "|"]
    for row in gate_text.rows(document, words):
        cells = [row.what, row.verdict, row.baseline, row.candidate, row.change, row.interval, row.smallest]
        shown = [escape(cell) for cell in cells]
        shown[1] = f"**{shown[1]}**" if row.primary else shown[1]
        found.append("| " + " | ".join(shown) + " |")
    found += ["", "<details><summary>" + escape(words("gate.provenance")) + "</summary>", ""]
    found += [f"- {escape(label)}: {escape(text)}" for label, text in gate_text.facts(document, words)]
    found += ["", "</details>", "", escape(words("gate.made", identity=document.get("run"))), ""]
    text = "\n".join(found)
    return text if len(text) <= MOST_COMMENT_CHARS else text[:MOST_COMMENT_CHARS] + "\n\n(cut)\n"


def workflow_commands(document: Document, lang: str = "en") -> list[str]:
    """GitHub workflow commands: an error per FAIL, a warning per doubt, ten of each at most."""
    words = Words(lang)
    found: dict[str, list[str]] = {"error": [], "warning": []}
    verdict = str(document.get("verdict"))
    if verdict not in ("PASS",):
        level = "error" if verdict in ("FAIL", "INVALID") else "warning"
        found[level].append(
            _command(
                level,
                f"gate {verdict}",
                f"{gate_text.headline(document, words)} {'; '.join(document.get('reasons') or [])}",
            )
        )
    for one, row in zip(_primaries(document), [r for r in gate_text.rows(document, words) if r.primary], strict=True):
        level = "error" if one.get("verdict") == "FAIL" else "warning"
        if one.get("verdict") not in ("PASS", None):
            text = words("gate.annotation", what=row.what, change=row.change, interval=row.interval)
            found[level].append(_command(level, f"gate {row.verdict}", f"{text} {row.why}".strip()))
    return [line for level in found.values() for line in level[:MOST_ANNOTATIONS]]


def _primaries(document: Document) -> list[Document]:
    return [one for one in listed(document, "comparisons") if one.get("primary")]


def _command(level: str, title: str, text: str) -> str:
    """Data of a workflow command: % and line breaks are written as GitHub reads them; in properties also , and :."""
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    shown = title.replace("%", "%25").replace("\n", " ").replace(",", "%2C").replace(":", "%3A")
    return f"::{level} title={shown}::{data}"


def _clean(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
