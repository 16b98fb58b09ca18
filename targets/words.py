"""Generated prompts and queries in Korean and English, of a given length distribution, from a named seed."""

import numpy as np

from targets.sources import Length

KOREAN_SUBJECTS = (
    "우리 카페 단골 고객에게", "예약을 완료한 손님께", "신규 회원에게", "배송을 기다리는 고객님께", "학원 학부모님께",
    "병원 예약 환자분께", "휴면 회원에게", "포인트가 곧 소멸되는 회원께", "행사에 신청한 분들께", "구독을 갱신할 고객에게",
)  # fmt: skip
KOREAN_OBJECTS = (
    "봄맞이 할인 행사를", "예약 시간 변경을", "무료 배송 쿠폰을", "새 메뉴 출시 소식을", "결제 완료 내역을",
    "수강료 납부 일정을", "진료 예약 확인을", "이용 약관 변경 내용을", "설문 조사 참여 방법을", "겨울 방학 특강 일정을",
)  # fmt: skip
KOREAN_ENDINGS = (
    "정중하게 안내해 주세요.", "짧고 분명하게 알려 주세요.", "친근한 말투로 작성해 주세요.",
    "버튼 하나와 함께 보내 주세요.",
    "변수로 이름과 날짜를 넣어 주세요.", "광고가 아닌 정보성으로 써 주세요.",
    "환불 규정도 덧붙여 주세요.", "존댓말로 부탁드립니다.",
)  # fmt: skip
ENGLISH_SUBJECTS = (
    "customers who booked a table", "new members", "parents of our students", "patients with an appointment",
    "subscribers whose plan ends soon", "guests waiting for a delivery", "people who signed up for the event",
)  # fmt: skip
ENGLISH_VERBS = ("Tell", "Remind", "Inform", "Write a short notice to", "Draft a polite message for", "Announce to")
ENGLISH_OBJECTS = (
    "about the spring discount", "that the appointment has moved", "how to use the free delivery coupon",
    "when the invoice is due", "that the terms of service change next month", "about the new menu",
)  # fmt: skip
ENGLISH_ENDINGS = ("in a friendly tone.", "with one button.", "and mention the refund policy.", "in two sentences.")


def sentence(language: str, random: np.random.Generator) -> str:
    """One sentence that a user of these services might type."""

    def pick(words: tuple[str, ...]) -> str:
        return words[int(random.integers(len(words)))]

    if language == "mixed":
        language = "ko" if random.random() < 0.7 else "en"
    if language == "ko":
        return f"{pick(KOREAN_SUBJECTS)} {pick(KOREAN_OBJECTS)} {pick(KOREAN_ENDINGS)}"
    return f"{pick(ENGLISH_VERBS)} {pick(ENGLISH_SUBJECTS)} {pick(ENGLISH_OBJECTS)} {pick(ENGLISH_ENDINGS)}"


def texts(language: str, length: Length, count: int, seed: int) -> list[str]:
    """`count` texts whose lengths in characters follow `length` (lognormal, cut at both ends)."""
    random = np.random.default_rng(seed)
    wanted = np.clip(random.lognormal(np.log(length.median), length.sigma, count), length.min, length.max)
    return [_text(language, int(characters), random) for characters in wanted]


def _text(language: str, characters: int, random: np.random.Generator) -> str:
    text = sentence(language, random)
    while len(text) < characters:
        text += " " + sentence(language, random)
    cut = text[:characters].rstrip()
    return cut if len(cut) == len(text) or " " not in cut else cut[: cut.rindex(" ")] if characters > 40 else cut
