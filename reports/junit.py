"""JUnit XML for CI: a test case for the run's validity, one for each limit, one for each comparison of a gate."""

from xml.etree import ElementTree

from measurements.rundir import RunDirectory
from reports import documents, findings
from reports.documents import Documents, listed
from reports.wording import Words

GATE_FAILS = {"FAIL", "INVALID", "BLIND", "INCONCLUSIVE"}


def junit(run: RunDirectory, lang: str = "en") -> str:
    """A missed limit is a failure, one that cannot be judged is skipped with its reason, an INVALID run is an error."""
    words = Words(lang)
    read = documents.read(run)
    found = findings.find(read, words)
    suite = ElementTree.Element("testsuite", {"name": _clean(f"plimsoll {read.name}")})
    case = _case(suite, read, "validity")
    if found.state_tone == "bad" or not read.summary:
        _result(case, "error", found.verdict, "\n".join(f"{reason} {remedy}" for reason, remedy in found.reasons))
    for finding in listed(read.summary, "slo"):
        case = _case(suite, read, f"{finding.get('endpoint')} {finding.get('metric')}")
        sentence = findings.limit_sentence(finding, words)
        if finding.get("state") == "missed":
            _result(case, "failure", sentence, "")
        elif finding.get("state") != "met":
            _result(case, "skipped", f"{sentence}: {finding.get('why') or words('slo.unknown')}", "")
    verdict = read.verdict.get("verdict")
    if verdict is not None:
        case = _case(suite, read, "gate")
        if verdict in GATE_FAILS:
            _result(case, "failure" if verdict == "FAIL" else "error", str(verdict), "")
    for tag, key in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(key, str(len(suite.findall(f"*/{tag}"))))
    suite.set("tests", str(len(suite)))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, read: Documents, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": _clean(read.name), "name": _clean(name)})


def _result(case: ElementTree.Element, tag: str, message: str, text: str) -> None:
    element = ElementTree.SubElement(case, tag, {"message": _clean(message)})
    element.text = _clean(text) or None


def _clean(text: str) -> str:
    """XML 1.0 has no place for most control characters, not even escaped."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
