"""The policy base: Korean rules for AlimTalk templates, generated from a seed, in an embedded Chroma collection."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from targets.reference.corpora import build_once

SEED = 20240901
COLLECTION = "alimtalk_policies"

BUSINESS_TYPES = (
    "쇼핑몰", "음식점", "카페", "병원", "약국", "학원", "어린이집", "은행", "보험사", "증권사", "여행사", "항공사",
    "호텔", "미용실", "피트니스센터", "부동산", "택배사", "통신사", "공공기관", "렌터카", "공연장", "세탁소",
    "정비소", "구독서비스",
)  # fmt: skip

TOPICS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("주문 확인", "주문", ("주문번호", "상품명", "결제금액", "주문일시")),
    ("결제 완료", "결제", ("결제금액", "결제수단", "승인번호", "결제일시")),
    ("배송 출발", "배송", ("송장번호", "택배사명", "도착예정일", "상품명")),
    ("배송 완료", "배송", ("송장번호", "수령장소", "배송완료일시")),
    ("예약 확정", "예약", ("예약일시", "예약인원", "지점명", "담당자명")),
    ("예약 변경", "예약", ("변경전일시", "변경후일시", "지점명")),
    ("예약 취소", "예약", ("취소일시", "환불금액", "환불예정일")),
    ("환불 안내", "환불", ("환불금액", "환불수단", "처리기한")),
    ("회원 가입", "회원", ("회원명", "가입일", "회원등급")),
    ("회원 등급 변경", "회원", ("회원명", "이전등급", "변경등급", "적용일")),
    ("포인트 적립", "포인트", ("적립포인트", "잔여포인트", "소멸예정일")),
    ("포인트 소멸 예정", "포인트", ("소멸포인트", "소멸예정일", "잔여포인트")),
    ("쿠폰 발급", "쿠폰", ("쿠폰명", "할인금액", "유효기간")),
    ("영업시간 변경", "공지", ("변경일", "영업시간", "지점명")),
    ("휴무 안내", "공지", ("휴무일", "재개일", "지점명")),
    ("약관 변경", "공지", ("시행일", "변경항목", "문의처")),
    ("본인 인증", "인증", ("인증번호", "유효시간")),
    ("상담 접수", "상담", ("접수번호", "상담유형", "회신예정일")),
    ("설문 요청", "설문", ("설문명", "응답기한", "소요시간")),
    ("정기 점검", "공지", ("점검일시", "점검시간", "영향범위")),
)

RULES = (
    "{business}의 {topic} 메시지는 수신자의 거래나 신청에 대한 정보만 담아야 하며 광고성 문구를 넣을 수 없습니다.",
    "변수는 #{{변수명}} 형식으로 쓰고, {topic}에는 {variable} 항목이 반드시 들어가야 합니다.",
    "본문은 공백을 포함하여 1,000자를 넘을 수 없고, {business} 안내는 {length}자 이내를 권장합니다.",
    "버튼은 최대 5개까지 등록할 수 있으며 {topic} 템플릿의 웹링크는 https로 시작해야 합니다.",
    "'{word}' 같은 표현은 {category} 정보와 무관한 구매 유도로 보아 반려됩니다.",
    "수신 동의를 받지 않은 고객에게 {business} 혜택을 알리는 내용은 친구톡으로 발송해야 합니다.",
    "변수만으로 이루어진 본문은 심사할 수 없으므로 {topic} 고정 문구를 함께 적어야 합니다.",
    "{variable} 값이 비어 있을 수 있다면 대체 문구를 두고, 개인정보는 일부를 가려서 표시합니다.",
    "발신 주체를 알 수 있도록 {business}의 상호나 지점명을 첫 줄에 밝혀야 합니다.",
    "{topic} 이후 {days}일이 지난 건은 정보성 메시지로 인정되지 않습니다.",
    "문의 방법을 적을 때에는 {business} 고객센터 전화번호와 운영 시간을 함께 안내합니다.",
    "금액을 표기할 때는 {variable} 뒤에 원 단위를 적고 과장된 할인율을 쓰지 않습니다.",
)
PROMOTIONAL_WORDS = (
    "특가", "초특가", "할인쿠폰", "무료증정", "대박", "선착순", "마감임박", "최저가", "공짜", "이벤트 당첨",
    "지금 구매", "한정수량", "사은품", "파격", "세일", "놓치지 마세요", "단독혜택", "100% 보장",
)  # fmt: skip
MESSAGE_KINDS = ("기본형", "부가정보형", "채널추가형", "복합형", "강조표기형")


class Policy(NamedTuple):
    id: str
    text: str
    business_type: str
    category: str
    title: str


def policies(count: int) -> Iterator[Policy]:
    """The first `count` entries: every business type with every topic, again and again with other rules."""
    draw = random.Random(SEED)
    for number in range(count):
        business = BUSINESS_TYPES[number % len(BUSINESS_TYPES)]
        topic, category, variables = TOPICS[(number // len(BUSINESS_TYPES)) % len(TOPICS)]
        kind = MESSAGE_KINDS[(number // (len(BUSINESS_TYPES) * len(TOPICS))) % len(MESSAGE_KINDS)]
        rules = draw.sample(RULES, draw.randint(3, 6))
        title = f"{business} {topic} {kind} 템플릿 심사 기준"
        sentences = [
            rule.format(
                business=business,
                topic=topic,
                category=category,
                variable=draw.choice(variables),
                word=draw.choice(PROMOTIONAL_WORDS),
                length=draw.randrange(200, 950, 50),
                days=draw.choice((1, 3, 7, 14, 30, 90)),
            )
            for rule in rules
        ]
        yield Policy(f"policy-{number:05d}", f"{title}. {' '.join(sentences)}", business, category, title)


def policy_collection(count: int, *, rebuild: bool = False) -> Path:
    """Directory of the collection with `count` policies, built at the first call on a machine."""
    from targets.reference.vector_store import embedding_version

    name = f"kakao-policies-{count}-v3-{embedding_version()}"
    return build_once(name, lambda path: _build(path, count), rebuild=rebuild)


def _build(path: Path, count: int) -> None:
    from targets.reference.embedding import embed
    from targets.reference.vector_store import build_collection

    rows = list(policies(count))
    build_collection(
        path,
        COLLECTION,
        ids=[row.id for row in rows],
        documents=[row.text for row in rows],
        metadatas=[{"business_type": row.business_type, "category": row.category, "title": row.title} for row in rows],
        embeddings=embed([row.title for row in rows]) + embed([row.text for row in rows]),  # titles weigh as much
    )
