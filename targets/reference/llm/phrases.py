"""The emulator's stock of sentences, and templates for prompts that ask for JSON."""

KOREAN = """
문의하신 내용을 확인한 결과를 정리해 드립니다.
먼저 현재 상황을 간단히 살펴보겠습니다.
관련 규정에 따르면 신청일로부터 영업일 기준 3일 이내에 처리됩니다.
담당 부서의 확인이 필요한 경우 추가 서류를 요청드릴 수 있습니다.
진행 상태는 내 정보 화면에서 언제든지 확인하실 수 있습니다.
다음으로 주의하실 점을 안내해 드리겠습니다.
입력하신 정보가 실제와 다르면 처리가 늦어질 수 있으니 다시 한번 확인해 주세요.
비슷한 사례를 살펴보면 대부분 같은 절차로 해결되었습니다.
첫째, 필요한 자료를 미리 준비하시면 시간을 줄일 수 있습니다.
둘째, 변경 사항은 반드시 기한 안에 알려 주셔야 합니다.
셋째, 궁금한 점이 있으면 고객센터로 연락해 주시기 바랍니다.
이 경우 법원은 당사자의 의사와 거래의 경위를 종합하여 판단하고 있습니다.
원심의 판단에 법리를 오해한 잘못이 있다고 보기는 어렵습니다.
계약의 해제는 상대방에게 책임 있는 사유가 있을 때 인정됩니다.
올해는 새로운 일을 시작하기에 좋은 기운이 들어오는 시기입니다.
서두르기보다 주변 사람들과 의논하며 한 걸음씩 나아가는 것이 좋겠습니다.
재물은 들어오는 만큼 나가는 흐름이 있으니 지출을 살펴보세요.
건강을 위해 충분한 휴식과 규칙적인 생활을 권해 드립니다.
시스템 점검 시간에는 일부 기능이 제한될 수 있습니다.
비밀번호는 설정 메뉴의 보안 항목에서 바꾸실 수 있습니다.
요청하신 작업은 정상적으로 접수되었습니다.
추가로 필요한 사항이 있으면 말씀해 주세요.
위 내용을 바탕으로 가장 알맞은 방법을 선택하시기 바랍니다.
도움이 되셨기를 바라며 좋은 하루 보내세요.
""".strip().splitlines()

ENGLISH = """
Here is a short summary of what was found.
Let us look at the current situation first.
According to the policy, requests are handled within three business days.
The team in charge may ask for further documents in some cases.
You can follow the progress at any time on your account page.
There are a few points that deserve attention.
Please check the details once more, since wrong entries delay the process.
Most similar cases were solved in the same way.
First, prepare the necessary material in advance to save time.
Second, report every change before the deadline.
Third, contact the help desk if anything remains unclear.
The court considered the intention of the parties and the history of the transaction.
It is hard to find an error of law in the decision below.
A contract may be rescinded when the other side is responsible for the failure.
This is a favourable season for starting something new.
Rather than hurrying, talk to the people around you and take one step at a time.
Money comes and goes this year, so keep an eye on expenses.
Regular rest will help you keep a clear mind.
Some functions may be limited during the maintenance window.
The password can be changed under security in the settings menu.
Your request has been received and is being processed.
If anything else is needed, just let us know.
Based on the points above, choose the option that suits you best.
We hope this helps and wish you a good day.
""".strip().splitlines()

# subject words → (title, body, button, variables); the first that matches the prompt is used, else the last
TEMPLATES: tuple[tuple[tuple[str, ...], tuple[str, str, str, tuple[str, ...]]], ...] = (
    (
        ("예약", "방문", "진료", "booking", "reservation", "appointment"),
        (
            "예약 확정 안내",
            "안녕하세요, #{고객명}님.\n#{업체명} 예약이 확정되었습니다.\n\n▶ 일시: #{예약일시}\n▶ 장소: #{장소}\n\n"
            "변경이나 취소는 하루 전까지 가능합니다.",
            "예약 확인하기",
            ("고객명", "업체명", "예약일시", "장소"),
        ),
    ),
    (
        ("배송", "택배", "출고", "delivery", "shipping"),
        (
            "배송 시작 안내",
            "안녕하세요, #{고객명}님.\n주문하신 상품의 배송이 시작되었습니다.\n\n▶ 상품명: #{상품명}\n"
            "▶ 택배사: #{택배사}\n▶ 송장번호: #{송장번호}",
            "배송 조회하기",
            ("고객명", "상품명", "택배사", "송장번호"),
        ),
    ),
    (
        ("결제", "주문", "구매", "환불", "payment", "order", "refund"),
        (
            "결제 완료 안내",
            "안녕하세요, #{고객명}님.\n결제가 정상적으로 완료되었습니다.\n\n▶ 주문번호: #{주문번호}\n"
            "▶ 결제금액: #{결제금액}원\n▶ 결제일: #{결제일}",
            "주문 내역 보기",
            ("고객명", "주문번호", "결제금액", "결제일"),
        ),
    ),
    (
        ("강의", "수강", "교육", "학원", "course", "lecture"),
        (
            "수강 신청 안내",
            "안녕하세요, #{고객명}님.\n#{강의명} 수강 신청이 완료되었습니다.\n\n▶ 시작일: #{시작일}\n"
            "▶ 수강 방법: #{수강방법}",
            "강의실 바로가기",
            ("고객명", "강의명", "시작일", "수강방법"),
        ),
    ),
    (
        (),
        (
            "서비스 이용 안내",
            "안녕하세요, #{고객명}님.\n#{업체명} 서비스 이용 안내입니다.\n\n▶ 내용: #{안내내용}\n▶ 일자: #{일자}\n\n"
            "본 메시지는 신청하신 고객님께 발송되는 정보성 메시지입니다.",
            "자세히 보기",
            ("고객명", "업체명", "안내내용", "일자"),
        ),
    ),
)
