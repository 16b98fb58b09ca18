"""Korean court precedents, generated from a seed: case numbers, issues, holdings, reasoning, statutes."""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

SEED = 20240903

COURTS = (
    "대법원", "서울고등법원", "부산고등법원", "대전고등법원", "광주고등법원", "서울중앙지방법원", "수원지방법원",
    "인천지방법원", "대구지방법원", "창원지방법원",
)  # fmt: skip
STATUTES = (
    "민법 제390조", "민법 제544조", "민법 제548조", "민법 제565조", "민법 제580조", "민법 제618조", "민법 제741조",
    "민법 제750조", "민법 제756조", "민법 제763조", "상법 제24조", "상법 제42조", "상법 제399조", "상법 제682조",
    "주택임대차보호법 제3조", "주택임대차보호법 제6조", "상가건물 임대차보호법 제10조", "근로기준법 제23조",
    "근로기준법 제36조", "근로기준법 제56조", "형법 제250조", "형법 제257조", "형법 제347조", "형법 제355조",
    "형법 제356조", "도로교통법 제44조", "도로교통법 제54조", "민사소송법 제202조", "민사소송법 제288조",
    "저작권법 제30조", "부정경쟁방지법 제2조", "개인정보 보호법 제15조", "국가배상법 제2조", "행정소송법 제12조",
    "채무자 회생 및 파산에 관한 법률 제33조", "자동차손해배상 보장법 제3조", "제조물 책임법 제3조",
)  # fmt: skip
AREAS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("임대차", ("임대인", "임차인", "전차인"), ("보증금", "차임", "대항력", "갱신거절", "원상회복", "권리금")),
    ("매매", ("매도인", "매수인", "중개인"), ("계약금", "해제", "하자담보", "소유권이전등기", "위약금", "잔금")),
    (
        "불법행위",
        ("가해자", "피해자", "사용자"),
        ("손해배상", "과실상계", "위자료", "일실수입", "인과관계", "사용자책임"),
    ),
    ("근로", ("사용자", "근로자", "노동조합"), ("부당해고", "통상임금", "퇴직금", "연차수당", "징계", "전보명령")),
    (
        "교통사고",
        ("운전자", "보행자", "보험자"),
        ("과실비율", "음주운전", "보험금", "구상금", "중앙선침범", "후유장해"),
    ),
    ("사기", ("피고인", "피해자", "공범"), ("기망행위", "편취", "처분행위", "재산상 이익", "고의", "공모")),
    (
        "횡령",
        ("피고인", "회사", "대표이사"),
        ("불법영득의사", "보관자", "위탁관계", "비자금", "반환거부", "업무상 임무"),
    ),
    (
        "보험",
        ("보험자", "피보험자", "보험계약자"),
        ("고지의무", "면책약관", "보험사고", "설명의무", "보험대위", "약관해석"),
    ),
    (
        "저작권",
        ("저작자", "출판사", "이용자"),
        ("창작성", "실질적 유사성", "공정이용", "2차적저작물", "성명표시", "복제"),
    ),
    (
        "행정",
        ("처분청", "원고", "참가인"),
        ("재량권 일탈", "신뢰보호", "비례원칙", "처분사유", "절차하자", "소의 이익"),
    ),
    ("상속", ("상속인", "피상속인", "수유자"), ("유류분", "상속포기", "한정승인", "기여분", "유언", "상속재산분할")),
    ("도산", ("채무자", "채권자", "관재인"), ("면책", "부인권", "회생계획", "별제권", "재단채권", "개시결정")),
)
FACTS = (
    "{one}은 {two}과 {year}년 {month}월경 {place}에 관한 계약을 체결하고 {amount}만 원을 지급하였다.",
    "{two}은 {month}월 {day}일 {issue}을 이유로 이행을 거절한다는 뜻을 {one}에게 통지하였다.",
    "{one}은 {two}을 상대로 {issue} 및 {other}에 관한 청구를 하면서 지연손해금의 지급을 구하였다.",
    "이 사건 {place}는 {year}년에 준공된 건물로서 {two}이 점유하고 있다.",
    "제1심은 {one}의 청구를 일부 받아들였으나, 원심은 {issue}이 인정되지 않는다고 보아 이를 취소하였다.",
    "{third}은 {day}일에 걸쳐 현장을 확인하고 {amount}만 원 상당의 손해가 발생하였다고 진술하였다.",
)
REASONS = (
    "{issue}의 성립 여부는 당사자의 의사, 거래의 경위와 관행을 종합하여 객관적으로 판단하여야 한다.",
    "{statute}의 취지에 비추어 보면 {other}에 관한 주장은 {two}이 증명하여야 하고 그 증명은 고도의 개연성을 요한다.",
    "원심이 든 사정만으로는 {issue}에 관하여 {one}에게 귀책사유가 있다고 단정하기 어렵다.",
    "{third}의 진술은 그 내용이 구체적이고 일관되며 객관적 자료와도 들어맞으므로 쉽게 배척할 수 없다.",
    "{statute}에서 정한 요건을 갖추지 못한 이상 {other}을 이유로 하는 항변은 받아들일 수 없다.",
    "손해액은 {amount}만 원으로 산정하되, {one}의 과실을 참작하여 책임을 {share}퍼센트로 제한함이 상당하다.",
    "원심판결에는 {issue}에 관한 법리를 오해하여 필요한 심리를 다하지 아니한 잘못이 있다.",
    "이와 달리 {other}을 인정한 원심의 판단은 논리와 경험의 법칙을 위반하여 자유심증주의의 한계를 벗어난 것이다.",
    "{two}이 {month}개월이 지나도록 이의를 제기하지 아니한 사정은 {issue}을 묵시적으로 승인하였다고 볼 근거가 된다.",
)
ENDINGS = ("상고를 기각한다.", "원심판결을 파기하고 사건을 환송한다.", "항소를 기각한다.", "원고의 청구를 기각한다.")
PLACES = ("아파트", "상가", "토지", "공장", "차량", "주식", "기계설비", "오피스텔", "임야", "선박")


_JOIN = "\N{SYMBOL FOR UNIT SEPARATOR}"
_PARTICLE = re.compile(rf"([가-힣]){_JOIN}(은|을|이|과)(?= )")
_AFTER_VOWEL = {"은": "는", "을": "를", "이": "가", "과": "와"}


def _fitting_particle(match: re.Match[str]) -> str:
    syllable, particle = match.groups()
    ends_in_consonant = (ord(syllable) - ord("가")) % 28
    return syllable + (particle if ends_in_consonant else _AFTER_VOWEL[particle])


class Precedent(NamedTuple):
    case_number: str
    court: str
    area: str
    decided: str
    title: str
    statutes: str
    text: str


def precedents(count: int) -> Iterator[Precedent]:
    """The first `count` precedents, each some 700 to 1,600 characters long."""
    draw = random.Random(SEED)
    pick = draw.choice
    for number in range(count):
        area, parties, issues = AREAS[number % len(AREAS)]
        statutes = draw.sample(STATUTES, draw.randint(1, 3))
        issue = pick(issues)

        def say(sentence: str, parties: tuple[str, ...] = parties, issues: tuple[str, ...] = issues) -> str:
            one, two, third = draw.sample(parties, 3)
            words = {
                "one": one, "two": two, "third": third, "issue": pick(issues), "other": pick(issues),
                "statute": pick(STATUTES), "place": pick(PLACES),
            }  # fmt: skip
            filled = sentence.format(
                **{name: f"{word}{_JOIN}" for name, word in words.items()},
                year=draw.randint(1998, 2023), month=draw.randint(1, 12), day=draw.randint(1, 28),
                amount=draw.randint(10, 99_999), share=draw.randrange(10, 95, 5),
            )  # fmt: skip
            return _PARTICLE.sub(_fitting_particle, filled).replace(_JOIN, "")

        facts = [say(sentence) for sentence in draw.choices(FACTS, k=draw.randint(5, 9))]
        reasons = [say(sentence) for sentence in draw.choices(REASONS, k=draw.randint(6, 14))]
        year = draw.randint(2000, 2023)
        yield Precedent(
            case_number=f"{year}{pick('다가나도두')}{number + 10_000}",
            court=pick(COURTS),
            area=area,
            decided=f"{year}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}",
            title=f"{area} 사건에서 {issue}의 판단 기준",
            statutes=", ".join(statutes),
            text=" ".join((f"[사실관계] {' '.join(facts)}", f"[판단] {' '.join(reasons)}", f"[주문] {pick(ENDINGS)}")),
        )
