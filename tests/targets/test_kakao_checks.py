"""The rules that an AlimTalk template is held to."""

import pytest

from targets.reference.kakao.checks import MAX_LENGTH, Button, check_template, repair, variables
from targets.reference.kakao.corpus import policies
from targets.reference.kakao.generation import analyse, finish

GOOD = "[카페] 예약 확정 안내\n안녕하세요, #{고객명}님. 예약이 확정되었습니다.\n▶ 예약일시: #{예약일시}"


def failed(text: str, buttons: tuple[Button, ...] = ()) -> set[str]:
    return {check.name for check in check_template(text, buttons, ["고객명"], []) if not check.passed}


def test_a_plain_template_passes_every_rule():
    assert failed(GOOD) == set()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (GOOD + "가" * MAX_LENGTH, "length"),
        (GOOD + " 지금 구매하세요", "forbidden_words"),
        (GOOD + " #{예약", "variables"),
        (GOOD.replace("#{고객명}", "고객"), "variables"),
        ("#{고객명} #{예약일시}", "variables"),
    ],
)
def test_each_rule_catches_its_fault(text: str, rule: str):
    assert failed(text) == {rule}


@pytest.mark.parametrize(
    "button",
    [Button("보기", "XX", ""), Button("보기", "WL", "http://example.com"), Button("가" * 15, "BK", "")],
)
def test_a_wrong_button_is_refused(button: Button):
    assert failed(GOOD, (button,)) == {"buttons"}


def test_repair_mends_words_and_length_but_keeps_the_variables():
    mended = repair(GOOD + " 초특가!!! 놓치지 마세요. " + "문장입니다. " * 300)
    assert len(mended) <= MAX_LENGTH
    assert failed(mended) == set()
    assert variables(mended) == ["고객명", "예약일시"]


def test_a_reply_in_json_gives_title_body_and_buttons_and_gets_the_missing_variables():
    reply = (
        '{"title": "예약 확정", "body": "안녕하세요, #{고객명}님.", '
        '"buttons": [{"name": "보기", "type": "WL", "url": "https://a.kr"}], "variables": ["고객명"]}'
    )
    template = finish(reply, analyse("카페 예약 확정", None), [])
    assert template.approved
    assert template.buttons == [Button("보기", "WL", "https://a.kr")]
    assert "#{예약일시}" in template.text


def test_a_reply_in_prose_of_any_length_still_becomes_a_template_that_fits():
    template = finish("문장입니다. " * 500, analyse("쇼핑몰 배송 출발", None), [])
    assert template.approved
    assert len(template.text) <= MAX_LENGTH


def test_the_policy_base_is_the_same_at_every_build():
    assert list(policies(60)) == list(policies(60))
    assert len({policy.text for policy in policies(2400)}) == 2400
