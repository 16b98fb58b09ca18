"""Every mistake in a contract is one sentence with the file, the key and what is allowed."""

from pathlib import Path

import pytest

from measurements.errors import ContractError, UsageError
from targets.contract_file import load

MINIMAL = """
[target]
name = "mine"
base_url = "http://127.0.0.1:8000"

[[endpoint]]
name = "search"
path = "/search"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def finding(folder: Path, text: str) -> str:
    """The one sentence that the contract is refused with."""
    with pytest.raises(ContractError) as caught:
        load(written(folder, text))
    assert len(caught.value.findings) == 1, caught.value.findings
    sentence = caught.value.findings[0]
    assert "\n" not in sentence
    assert sentence.startswith(f"{folder / 'mine.toml'}: ")
    return sentence.split(": ", 1)[1]


def test_three_keys_are_enough(tmp_path: Path) -> None:
    contract = load(written(tmp_path, MINIMAL))
    endpoint = contract.endpoint[0]
    assert (endpoint.method, endpoint.timeout_s, endpoint.weight, endpoint.stream) == ("GET", 30, 1, None)
    assert contract.target.base_urls == ["http://127.0.0.1:8000"]
    assert contract.slo == {} and contract.upstream is None and contract.data.repeat == 0


@pytest.mark.parametrize("name", ["kakao", "alaw", "encar", "saju"])
def test_the_shipped_contracts_load(name: str) -> None:
    assert load(Path(__file__).parents[2] / "targets" / f"{name}.toml").target.name == name


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[target]", "unknown key target.naem; did you mean name?"),
        ("[[endpoint]]", 'unknown key endpoint[0] "search".naem; did you mean name?'),
    ],
)
def test_an_unknown_key_names_the_nearest_valid_spelling(tmp_path: Path, line: str, sentence: str) -> None:
    assert finding(tmp_path, MINIMAL.replace(line, f'{line}\nnaem = "x"')) == sentence


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        ("[slo.search]\np95 = 100", "slo.search.p95", "p95_ms"),
        ("[slo.all]\nerror_rat = 0.1", "slo.all.error_rat", "error_rate"),
        ("[data]\nrepaet = 0.5", "data.repaet", "repeat"),
        ("[users]\nthink_time = 1", "users.think_time", "think_time_s"),
        ("[limits.queue.q]\nmax_concurent = 1\nmax_queue_size = 1\ntimeout_s = 1", "limits.queue.q.max_concurent",
         "max_concurrent"),
        ("[target.control]\nstrat = 'x'\nstart = 'y'", "target.control.strat", "start"),
        ("[upstream]\nmax_dollar = 1", "upstream.max_dollar", "max_usd"),
        ("[[alert.rule]]\nmetric = 'error_rate'\nabove = 1.0\nseverty = 'low'", "alert.rule[0].severty", "severity"),
    ],
)  # fmt: skip
def test_an_unknown_key_in_any_section_is_named_with_its_path(
    tmp_path: Path, section: str, key: str, nearest: str
) -> None:
    assert finding(tmp_path, f"{MINIMAL}\n{section}\n") == f"unknown key {key}; did you mean {nearest}?"


def test_an_unknown_section_is_named(tmp_path: Path) -> None:
    assert finding(tmp_path, f"{MINIMAL}\n[endpoints]\nx = 1\n") == "unknown key endpoints; did you mean endpoint?"


def test_a_key_that_resembles_nothing_gets_the_list_of_known_ones(tmp_path: Path) -> None:
    sentence = finding(tmp_path, f"{MINIMAL}\n[gate]\nxyzzy = 1\n")
    assert sentence == "unknown key gate.xyzzy; known here: alpha, floor, may_share, on_unsure, primaries"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('path = "/search"', 'path = "/search"\ntimeout_s = "fast"', ["timeout_s is 'fast'", "number"]),
        ('path = "/search"', 'path = "/search"\ntimeout_s = 0', ["timeout_s is 0", "greater than 0"]),
        ('path = "/search"', 'path = "/search"\nweight = -1', ["weight is -1", "greater than or equal to 0"]),
        ('path = "/search"', 'path = "search"', ["path is 'search'"]),
        ('path = "/search"', 'path = 5', ["path is 5", "string"]),
        ('path = "/search"', 'path = "/search"\nexpect = { status = [99] }', ["expect.status[0] is 99", "100"]),
        ('path = "/search"', 'path = "/search"\nheader = { X-Api-Key = 5 }', ["header.X-Api-Key is 5", "string"]),
        ('name = "search"', 'name = ""', ["name is ''"]),
        ('path = "/search"', 'path = "/search"\nheader = { X = "a\\r\\nEvil: 1" }', ["header.X is", "line break"]),
        ('path = "/search"', 'path = "/search"\nheader = { "X:Y" = "1" }', ["header.X:Y", "line break"]),
    ],
)  # fmt: skip
def test_a_wrong_type_or_an_impossible_value_is_named_with_what_is_allowed(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    sentence = finding(tmp_path, MINIMAL.replace(old, new))
    for part in ["endpoint[0]", *parts]:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[data]\nq = 5", "data.q is 5; it should be a table"),
        ("[slo]\nsearch = 5", "slo.search is 5; it should be a table"),
        ("[users]\nthink_time_s = [1.0, 'x']", "users.think_time_s[1] is 'x'; it should be a valid number"),
        ("[limits]\nper_client = ['10/min']", "limits.per_client[0] is '10/min'; write COUNT/UNIT, e.g. 10/minute"),
        ("[users]\nthink_time_s = [1, 2, 3]", "users.think_time_s is [1, 2, 3]; it should be [low, high]"),
        (
            "[limits.database]\npool_size = 5\nmax_connections = 10\nreserved = 10",
            "limits.database: reserved (10) leaves none of max_connections (10)",
        ),
        ("[users]\nthink_time_s = [2, 1]", "users: think_time_s is [low, high]; [2.0, 1.0] is the wrong way round"),
        ("[users]\nidentities = 2026-01-01", 'users.identities is "2026-01-01"; it should be a whole number'),
        ("[users]\nidentities = true", "users.identities is true; it should be a whole number"),
        ("[slo.all]\np95_ms = '300'", "slo.all.p95_ms is '300'; it should be a valid number"),
        ("[slo.all]\np95_ms = inf", "slo.all.p95_ms is inf; it should be a finite number"),
        ("[slo]\np95_ms = 300", "slo.p95_ms stands in no endpoint's table; write [slo.all], or [slo.NAME]"),
        ("[limits]\nclient_key = 'adress'", "limits.client_key is 'adress'; write address, or header:NAME"),
        (
            "[[alert.rule]]\nmetric = 'reponse_ms'\nabove = 1",
            "alert.rule[0].metric is 'reponse_ms'; allowed: 'response_ms'",
        ),
        ("[users]\ntokens = ''", "users.tokens: there is no file '' beside the contract"),
        (f"[users]\ntokens = '{'x' * 300}'", "users.tokens: there is no file 'xxx"),
        (
            "[target.control]\nstart = 'x'\nneeds = [{ name = 'llm', start = 'y', ready = '' }]",
            "target.control.needs[0] \"llm\".ready is ''; it starts with /",
        ),
        ("[users]\naddresses = '10.0.0.0/8'", "users.addresses is '10.0.0.0/8'; write a loopback network"),
    ],
)
def test_forms_and_shapes_are_told_in_words(tmp_path: Path, text: str, sentence: str) -> None:
    assert finding(tmp_path, f"{MINIMAL}\n{text}\n").startswith(sentence)


@pytest.mark.parametrize("value", ["2026-01-01", "inf", "{ when = [12:00:00] }"])
def test_a_body_that_json_cannot_hold_is_refused_in_words(tmp_path: Path, value: str) -> None:
    text = MINIMAL.replace('path = "/search"', f'path = "/search"\njson = {value}')
    assert 'endpoint[0] "search": json holds a date, a time, inf or nan' in finding(tmp_path, text)


def test_a_file_name_nearly_right_gets_the_right_one(tmp_path: Path) -> None:
    written(tmp_path, MINIMAL)
    with pytest.raises(UsageError, match=r"no contract .*mine\.tml; did you mean .*mine\.toml\?"):
        load(tmp_path / "mine.tml")


def test_a_url_in_the_place_of_a_contract_is_told_from_a_file() -> None:
    with pytest.raises(UsageError, match="is a URL, and a contract is a file; write one with: plimsoll init"):
        load(Path("https://example.com"))


def test_a_binary_file_is_no_contract_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(UsageError, match="is no text in UTF-8 \\(at byte 1\\); a contract is a text file in TOML"):
        load(tmp_path / "mine.toml")


def test_a_tokens_file_that_is_no_text_is_told_before_any_request(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_bytes(b"abc\xff")
    assert "users.tokens: tokens is no text in UTF-8 (at byte 3)" in finding(
        tmp_path, f"{MINIMAL}\n[users]\ntokens = 'tokens'\n"
    )


@pytest.mark.parametrize(
    ("old", "line", "sentence"),
    [
        ("[target]", 'locustfile = "mine.toml"', "target.locustfile is 'mine.toml'; it is a Python file"),
        ("[[endpoint]]", 'tokenizer = "no.json"', "endpoint search: tokenizer: there is no file 'no.json'"),
    ],
)
def test_a_file_that_cannot_be_the_one_is_told_before_any_request(
    tmp_path: Path, old: str, line: str, sentence: str
) -> None:
    assert sentence in finding(tmp_path, MINIMAL.replace(old, f"{old}\n{line}"))


def test_a_section_with_a_dash_in_its_name_is_named_in_full(tmp_path: Path) -> None:
    text = MINIMAL.replace('name = "search"', 'name = "search-v2"') + "\n[slo.search-v2]\np95_ms = -5\n"
    assert finding(tmp_path, text).startswith("slo.search-v2.p95_ms is -5; ")


def test_a_word_that_is_not_allowed_names_those_that_are_and_the_nearest(tmp_path: Path) -> None:
    sentence = finding(tmp_path, MINIMAL.replace('path = "/search"', 'path = "/search"\nmethod = "POTS"'))
    assert "method is 'POTS'; allowed: 'GET', 'POST'" in sentence and sentence.endswith("did you mean 'POST'?")


@pytest.mark.parametrize(
    ("remove", "key"),
    [('name = "mine"', "target.name"), ('base_url = "http://127.0.0.1:8000"', "target.base_url"),
     ('path = "/search"', 'endpoint[0] "search".path')],
)  # fmt: skip
def test_a_missing_key_is_named(tmp_path: Path, remove: str, key: str) -> None:
    assert finding(tmp_path, MINIMAL.replace(remove, "")) == f"{key} is missing; it is required"


def test_a_contract_without_an_endpoint_says_so(tmp_path: Path) -> None:
    assert finding(tmp_path, MINIMAL.split("[[", maxsplit=1)[0]) == "endpoint is missing; it is required"


def test_two_endpoints_of_one_name_are_refused(tmp_path: Path) -> None:
    text = MINIMAL + '[[endpoint]]\nname = "search"\npath = "/other"\n'
    assert finding(tmp_path, text) == "endpoint names are unique; twice: search"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (MINIMAL.replace('name = "search"', 'name = "all"'), '"all" names the whole mix'),
        (MINIMAL + "\n[slo.serach]\np95_ms = 5\n", "slo.serach judges no endpoint; endpoints are search"),
        (MINIMAL + "weight = 0\n", "every endpoint has weight 0"),
        (MINIMAL + "enabled = false\n", "every endpoint has weight 0 or is disabled"),
        (MINIMAL + 'query = { q = "{{query}}" }\n', "uses {{query}}, which [data] does not define"),
        (MINIMAL + '[users]\nheader = { X-U = "{{user}}" }\n', "users.header uses {{user}}, which [data] does not define"),
        (MINIMAL + 'json = {}\nbody = "x"\n', "json and body exclude each other"),
        (MINIMAL + "\n[data.q]\nchoice = [1]\ninteger = [1, 2]\n", "exactly one source"),
        (MINIMAL + "\n[data.q]\nkey = 'x'\n", "exactly one source"),
        (MINIMAL + "\n[data.q]\nchoice = []\n", "choice is empty"),
        (MINIMAL + "\n[data.q]\ninteger = [5, 1]\n", "wrong way round"),
        (MINIMAL + "\n[data.q]\ntext = 'ko'\nlength = { median = 5, min = 10 }\n", "min <= median <= max"),
        (MINIMAL + "\n[[alert.rule]]\nmetric = 'error_rate'\n", "give one of above and below"),
        (MINIMAL + "\n[users]\naddresses = '127.0.1.999/24'\n", "write a loopback network, e.g. 127.0.1.0/24"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_with_the_reason(tmp_path: Path, text: str, part: str) -> None:
    assert part in finding(tmp_path, text)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ('"127.0.0.1:8000"', "is not a base URL"),
        ('"ftp://127.0.0.1"', "is not a base URL"),
        ('"http://"', "names no host"),
        ('"http://me:pw@host"', "carries credentials"),
        ('"http://host/?a=1"', "has a query"),
        ('"http://host:99999"', "no usable port"),
        ('"http://host:0"', "no usable port"),
        ('"unix:relative.sock"', "unix:/path"),
        ("[]", "base_url"),
        ('["http://127.0.0.1:1", "nonsense"]', "is not a base URL"),
    ],
)
def test_a_base_url_that_cannot_be_is_refused(tmp_path: Path, url: str, part: str) -> None:
    sentence = finding(tmp_path, MINIMAL.replace('"http://127.0.0.1:8000"', url))
    assert part in sentence
    assert "pw" not in sentence


def test_think_times_below_zero_are_refused(tmp_path: Path) -> None:
    assert "think_time_s" in finding(tmp_path, MINIMAL + "\n[users]\nthink_time_s = [-1.0, 2.0]\n")


def test_several_mistakes_are_several_sentences(tmp_path: Path) -> None:
    text = MINIMAL.replace('name = "mine"', "").replace('path = "/search"', 'path = "/search"\nwieght = 2')
    with pytest.raises(ContractError) as caught:
        load(written(tmp_path, text))
    assert len(caught.value.findings) == 2
    assert all(sentence.startswith(str(tmp_path)) for sentence in caught.value.findings)


def test_a_missing_environment_variable_is_named_with_the_command_that_sets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLIMSOLL_TEST_KEY", raising=False)
    text = MINIMAL + 'header = { Authorization = "Bearer ${env:PLIMSOLL_TEST_KEY}" }\n'
    assert finding(tmp_path, text) == (
        "endpoint search: header Authorization needs the environment variable PLIMSOLL_TEST_KEY; "
        "set it with: export PLIMSOLL_TEST_KEY=…"
    )
    monkeypatch.setenv("PLIMSOLL_TEST_KEY", "x")
    assert load(written(tmp_path, text)).endpoint[0].header["Authorization"] == "Bearer ${env:PLIMSOLL_TEST_KEY}"


def test_a_disabled_endpoint_needs_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLIMSOLL_TEST_KEY", raising=False)
    text = (
        MINIMAL
        + '[[endpoint]]\nname = "admin"\npath = "/a"\nenabled = false\nheader = { K = "${env:PLIMSOLL_TEST_KEY}" }\n'
    )
    load(written(tmp_path, text))


def test_a_secret_written_otherwise_is_refused_with_the_right_spelling(tmp_path: Path) -> None:
    sentence = finding(tmp_path, MINIMAL + 'header = { Authorization = "Bearer ${API_KEY}" }\n')
    assert "'${API_KEY}'" in sentence and "${env:NAME}" in sentence


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MINIMAL + "\n[data.q]\njsonl = 'absent.jsonl'\n", "data.q.jsonl"),
        (MINIMAL + "\n[data.q]\ncsv = 'absent.csv'\n", "data.q.csv"),
        (MINIMAL + "\n[users]\ntokens = 'absent.txt'\n", "users.tokens"),
        (MINIMAL.replace("[target]", "[target]\nlocustfile = 'absent.py'"), "target.locustfile"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert finding(tmp_path, text).startswith(f"{key}: there is no file 'absent.")


def test_no_contract_a_folder_and_no_toml_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no contract .*plimsoll init URL"):
        load(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="is a folder"):
        load(tmp_path)
    assert "not TOML" in finding(tmp_path, "[target\n")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    "text",
    ["", "target = 5", "endpoint = 5", "[target]\nname = []", "[[target]]\nname = 'x'", "data = []", "[data]\nq = 5"],
)
def test_a_file_of_quite_another_shape_is_refused_in_sentences(tmp_path: Path, text: str) -> None:
    with pytest.raises(ContractError) as caught:
        load(written(tmp_path, text))
    assert all("mine.toml" in sentence and "\n" not in sentence for sentence in caught.value.findings)


def test_files_are_looked_up_beside_the_contract_first_then_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "q.jsonl").write_text('{"q": "here"}\n')
    contract = load(written(tmp_path, MINIMAL + "\n[data.q]\njsonl = 'q.jsonl'\n"))
    assert contract.beside("q.jsonl").resolve() == tmp_path / "here" / "q.jsonl"
    (tmp_path / "q.jsonl").write_text('{"q": "beside"}\n')
    assert contract.beside("q.jsonl") == tmp_path / "q.jsonl"


def test_a_mark_that_an_editor_puts_before_the_text_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    assert load(path).target.name == "mine"
