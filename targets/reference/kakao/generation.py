"""From a request to a checked template: what it is about, which policies apply, the prompt, the draft."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from targets.reference.embedding import count_tokens
from targets.reference.kakao.checks import MAX_LENGTH, Button, Check, check_template, repair
from targets.reference.kakao.corpus import BUSINESS_TYPES, TOPICS
from targets.reference.vector_store import Match

PROMPT_BUDGET_TOKENS = 3000
SYSTEM = (
    "당신은 카카오 알림톡 템플릿을 작성하는 전문가입니다. 정보성 메시지만 작성하고 광고성 표현을 쓰지 않습니다. "
    "변수는 #{변수명} 형식으로 쓰고 본문은 공백을 포함해 1,000자를 넘지 않습니다. 아래 정책을 반드시 지키십시오. "
    "title, body, buttons(name, type, url), variables 키를 가진 JSON 객체 하나로만 답하십시오."
)
_MARKUP = re.compile(r"[*_`>|#]{1,3}(?!\{)|^\s*[-•]\s*", re.MULTILINE)
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a request is about: the sender's business and the topic, with the topic's category and variables."""

    business_type: str
    topic: str
    category: str
    variables: tuple[str, ...]


@cache
def _labels() -> tuple[list[tuple[str, set[str]]], list[tuple[int, set[str]]]]:
    businesses = [(name, _grams(name)) for name in BUSINESS_TYPES]
    topics = [(i, _grams(f"{topic} {category} {' '.join(names)}")) for i, (topic, category, names) in enumerate(TOPICS)]
    return businesses, topics


def _grams(text: str) -> set[str]:
    return {word[i : i + 2] for word in text.split() for i in range(max(1, len(word) - 1))}


def analyse(user_request: str, business_type: str | None) -> Analysis:
    """Business and topic whose two-letter pieces the request shares most; the first topic when it shares none."""
    grams = _grams(user_request)
    businesses, topics = _labels()
    if not business_type:
        business_type = max(businesses, key=lambda label: len(grams & label[1]) / len(label[1]))[0]
    topic, category, names = TOPICS[max(topics, key=lambda label: len(grams & label[1]) / len(label[1]) ** 0.5)[0]]
    return Analysis(business_type, topic, category, names)


def build_prompt(user_request: str, analysis: Analysis, policies: Sequence[Match]) -> str:
    """The user's turn: the policies that fit the token budget, best first, then the request."""
    parts, spent = [], count_tokens(user_request)
    for rank, policy in enumerate(policies, 1):
        entry = f"[정책 {rank}] ({policy.metadata['category']}, 유사도 {policy.score:.2f}) {policy.document}"
        spent += count_tokens(entry)
        if spent > PROMPT_BUDGET_TOKENS:
            break
        parts.append(entry)
    needed = ", ".join(f"#{{{name}}}" for name in analysis.variables)
    return (
        "\n".join(parts)
        + f"\n\n업종: {analysis.business_type}\n유형: {analysis.topic}\n반드시 넣을 변수: {needed}\n"
        + f"요청: {user_request}\n\n위 정책을 지키는 알림톡 템플릿을 작성하십시오."
    )


@dataclass(frozen=True, slots=True)
class Template:
    text: str
    buttons: list[Button]
    checks: list[Check]

    @property
    def approved(self) -> bool:
        return all(check.passed for check in self.checks)


class Draft(NamedTuple):
    title: str
    body: str
    buttons: list[Button]


def parse_draft(reply: str, analysis: Analysis) -> Draft:
    """The model's JSON object; where it wrote prose instead, that is the body."""
    try:
        document = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
        buttons = [Button(str(b["name"]), str(b["type"]), str(b.get("url", ""))) for b in document["buttons"]]
        return Draft(str(document["title"]), str(document["body"]), buttons)
    except (ValueError, KeyError, TypeError, AttributeError):
        slug = analysis.category.encode().hex()
        button = Button(f"{analysis.category} 상세보기", "WL", f"https://example.com/{slug}")
        return Draft(f"{analysis.topic} 안내", reply, [button])


def finish(reply: str, analysis: Analysis, policies: Sequence[Match]) -> Template:
    """The model's reply in AlimTalk form, mended where a rule allows it, with the outcome of every check."""
    draft = parse_draft(reply, analysis)
    body = repair(_SPACES.sub(" ", _MARKUP.sub("", draft.body)))
    head = f"[{analysis.business_type}] {draft.title}\n\n"
    if "#{고객명}" not in body:
        head += "안녕하세요, #{고객명}님.\n"
    missing = [name for name in analysis.variables if f"#{{{name}}}" not in body]
    tail = "\n\n" + "".join(f"▶ {name}: #{{{name}}}\n" for name in missing) + "문의: #{고객센터번호}"
    text = head + body[: MAX_LENGTH - len(head) - len(tail)] + tail
    required = ("고객명", *analysis.variables)
    rules = [policy.document for policy in policies]
    return Template(text, draft.buttons, check_template(text, draft.buttons, required, rules))
