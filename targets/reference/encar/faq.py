"""The FAQ of an internal help desk, generated from a seed: what to do about which system, for whom."""

import random
from typing import NamedTuple

SEED = 20240902

SYSTEMS = (
    "사내 메일", "그룹웨어", "전자결재", "VPN", "매물 등록 시스템", "시세 조회 시스템", "차량 진단 앱", "정산 시스템",
    "고객 상담 콘솔", "딜러 포털", "출입 카드", "회의실 예약", "근태 관리", "급여 명세서", "복지 포인트", "법인 카드",
    "사내 메신저", "문서 보안", "개발 서버", "데이터 분석 도구", "모바일 기기 관리", "프린터", "노트북", "주차 등록",
    "교육 포털",
)  # fmt: skip
MATTERS: tuple[tuple[str, str], ...] = (
    ("비밀번호를 잊었을 때", "로그인 화면에서 사번과 휴대전화로 본인 확인을 하면 임시 비밀번호가 발급됩니다."),
    ("접속이 되지 않을 때", "네트워크 연결과 VPN 상태를 먼저 확인하고, 브라우저 캐시를 지운 뒤 다시 접속합니다."),
    ("권한을 신청하는 방법", "전자결재의 권한 신청서를 작성하면 팀장 승인 후 보안팀이 영업일 하루 안에 처리합니다."),
    ("계정이 잠겼을 때", "다섯 번 틀리면 30분 동안 잠기며, 급하면 헬프데스크 내선 1234로 해제를 요청합니다."),
    ("신규 입사자 설정", "입사 첫날 인사팀이 보낸 안내 메일의 링크에서 초기 설정을 마치면 바로 쓸 수 있습니다."),
    ("퇴사자 처리", "퇴사일 하루 전까지 부서장이 회수 목록을 올리면 퇴사일 자정에 접근이 차단됩니다."),
    ("오류 메시지가 나올 때", "오류 번호와 화면 갈무리를 헬프데스크 게시판에 올리면 담당자가 확인하여 답변합니다."),
    ("모바일에서 쓰는 방법", "사내 앱 장터에서 앱을 설치하고 모바일 기기 관리에 등록한 뒤 사번으로 로그인합니다."),
    ("데이터를 내려받는 방법", "조회 화면의 내보내기를 누르고 사유를 적으면 문서 보안이 적용된 파일로 저장됩니다."),
    ("변경 이력을 확인하는 방법", "관리 메뉴의 이력 화면에서 기간과 담당자를 고르면 최근 1년의 변경이 나옵니다."),
    ("점검 시간", "매월 둘째 주 일요일 새벽 2시부터 6시까지 점검하며 그동안 일부 기능이 제한됩니다."),
    ("담당자 연락처", "평일 9시부터 18시까지 내선 1234, 그 밖의 시간에는 당직 메신저 채널로 문의합니다."),
)  # fmt: skip
AUDIENCES = ("정규직", "계약직", "협력사 직원", "딜러", "재택 근무자")


class Entry(NamedTuple):
    question: str
    answer: str

    @property
    def text(self) -> str:
        """What is indexed; the question counts three times as much as the answer."""
        return f"{self.question} {self.question} {self.question} {self.answer}"


def entries(count: int) -> list[Entry]:
    """The first `count` entries: systems × matters × audiences."""
    draw = random.Random(SEED)
    found = []
    for number in range(count):
        system = SYSTEMS[number % len(SYSTEMS)]
        matter, answer = MATTERS[(number // len(SYSTEMS)) % len(MATTERS)]
        audience = AUDIENCES[(number // (len(SYSTEMS) * len(MATTERS))) % len(AUDIENCES)]
        hint = draw.choice(MATTERS)[1]
        form = draw.randint(100, 999)
        found.append(
            Entry(
                f"{system} {matter} ({audience})",
                f"{audience} 기준으로 {system} 안내입니다. {answer} 참고로 {hint} 관련 양식은 HD-{form}입니다.",
            )
        )
    return found
