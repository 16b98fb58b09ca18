"""Tables, packages and graphs from made-up captures."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from measurements.errors import FormatError
from profiles import cpu, flamegraph, stacks
from profiles.stacks import Capture, Frame, functions, package, packages, read_speedscope

SITE = "/srv/.venv/lib/python3.11/site-packages"
LOOP = Frame("BaseEventLoop._run_once", "/usr/lib/python3.11/asyncio/base_events.py", 1922)
HANDLER = Frame("generate", "/srv/app/main.py", 40)
ENCODE = Frame("JSONEncoder.encode", "/usr/lib/python3.11/json/encoder.py", 200)
IN_C = Frame("encoder_call", "/build/Python-3.11.7/Modules/_json.c", 1309)
COPY = Frame("memcpy", "/lib/x86_64-linux-gnu/libc.so.6", 0)
QUERY = Frame("0x7fad", f"{SITE}/chromadb_rust_bindings/chromadb_rust_bindings.abi3.so", 0)
WAIT = Frame("epoll_wait", "/lib/x86_64-linux-gnu/libc.so.6", 0)

SAMPLED = Capture(
    {
        (7, 7): {
            (LOOP, HANDLER): 1.0,
            (LOOP, HANDLER, ENCODE, IN_C, COPY): 3.0,
            (LOOP, HANDLER, QUERY): 4.0,
        },
        (8, 8): {(LOOP, HANDLER): 2.0},
    }
)


def test_self_time_is_the_innermost_python_functions_total_time_everybodys_on_the_stack() -> None:
    rows = {row["function"]: row for row in functions(SAMPLED)}
    assert rows["generate"]["self_s"] == pytest.approx(7.0)
    assert rows["generate"]["total_s"] == pytest.approx(10.0)
    assert rows["generate"]["file"] == "/srv/app/main.py"
    assert rows["generate"]["line"] == 40
    assert rows["JSONEncoder.encode"]["self_share"] == pytest.approx(0.3)
    assert rows["BaseEventLoop._run_once"]["total_share"] == pytest.approx(1.0)
    assert rows["BaseEventLoop._run_once"]["self_s"] == 0


def test_packages_are_charged_with_what_their_c_code_used_and_the_c_library_is_nobodys() -> None:
    shares = {row["package"]: row["share"] for row in packages(SAMPLED)}
    assert shares == {
        "chromadb_rust_bindings": pytest.approx(0.4),
        "json (stdlib)": pytest.approx(0.3),
        stacks.OWN: pytest.approx(0.3),
    }


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (f"{SITE}/fastapi/routing.py", "fastapi"),
        (f"{SITE}/numpy.libs/libscipy_openblas64_-32a4b2a6.so", "numpy"),
        (f"{SITE}/orjson/orjson.cpython-311-x86_64-linux-gnu.so", "orjson"),
        ("/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", "json (stdlib)"),
        ("/build/Python-3.11.7/Modules/clinic/selectmodule.c.h", "select (stdlib)"),
        ("/project/uvloop/loop.c", "uvloop"),
        ("/root/.cargo/registry/src/index-1/serde_json-1.0.140/src/ser.rs", "serde_json"),
        ("<frozen importlib._bootstrap>", "import machinery"),
        ("/lib/x86_64-linux-gnu/libc.so.6", stacks.UNKNOWN),
        ("/build/Python-3.11.7/Objects/dictobject.c", stacks.UNKNOWN),
        ("", stacks.UNKNOWN),
        ("/home/team/service/app.py", stacks.OWN),
    ],
)
def test_a_file_tells_its_package(file: str, name: str) -> None:
    assert package(file) == name


def test_the_kernels_account_corrects_what_the_sampler_took_for_work() -> None:
    sampled = Capture(
        {
            (7, 7): {(LOOP, WAIT): 5.0, (LOOP, HANDLER): 1.0},
            (7, 9): {(LOOP, WAIT): 4.0},
            (7, 10): {(ENCODE,): 0.1},
        }
    )
    cpu_s = {(7, 7): ("MainThread", 2.0), (7, 9): ("worker", 0.01), (7, 11): ("tokio-rt-worker", 0.5)}
    found = sampled.calibrated(cpu_s, {7: 0.3})
    assert found.seconds[7, 7] == {(LOOP, HANDLER): pytest.approx(2.0)}
    assert found.seconds[7, 0] == {(ENCODE,): pytest.approx(0.31)}  # thread 10 ended; the process tells what it used
    assert found.total_s == pytest.approx(2.81)
    assert {row["package"] for row in packages(found)} >= {stacks.NATIVE_THREADS}


def test_a_process_that_was_only_seen_waiting_keeps_its_little_cpu_where_it_waited() -> None:
    found = Capture({(7, 7): {(LOOP, WAIT): 5.0}}).calibrated({(7, 7): ("MainThread", 0.02)}, {})
    assert found.seconds[7, 0] == {(LOOP, WAIT): pytest.approx(0.02)}


def speedscope(path: Path, samples: list[list[int]], frames: list[Frame], pid: int = 7) -> Path:
    document = {
        "shared": {"frames": [frame._asdict() for frame in frames]},
        "profiles": [
            {"name": f'Process {pid} Thread {pid} "MainThread"', "samples": samples, "weights": [0.01] * len(samples)}
        ],
    }
    path.write_text(json.dumps(document))
    return path


def test_captures_of_several_processes_are_merged(tmp_path: Path) -> None:
    one = speedscope(tmp_path / "1.json", [[0, 1]] * 30, [LOOP, HANDLER], pid=7)
    two = speedscope(tmp_path / "2.json", [[0]] * 10, [LOOP], pid=8)
    capture = read_speedscope([one, two])
    assert capture.by_process() == {7: pytest.approx(0.3), 8: pytest.approx(0.1)}
    assert capture.without([8]).total_s == pytest.approx(0.3)


def test_a_capture_is_written_and_read_again_as_it_was(tmp_path: Path) -> None:
    stacks.write_speedscope(SAMPLED, tmp_path / "cpu.json", "kakao")
    again = read_speedscope([tmp_path / "cpu.json"])
    assert again.by_process() == SAMPLED.by_process()
    assert dict(again.stacks()) == dict(SAMPLED.stacks())


def test_a_command_line_with_its_secrets_is_not_kept(tmp_path: Path) -> None:
    told = Frame('process 7:"python app.py --api-key sk-123"', "", 0)
    capture = read_speedscope([speedscope(tmp_path / "1.json", [[0, 1]], [told, HANDLER])])
    assert [stack[0].name for stack, _ in capture.stacks()] == ["process 7"]


def test_a_damaged_capture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"shared": {}}')
    with pytest.raises(FormatError, match="take it again"):
        read_speedscope([tmp_path / "bad.json"])


def test_a_difference_shows_what_got_dearer_and_leaves_out_what_sampling_alone_would_show() -> None:
    before = Capture({(1, 1): {(LOOP, HANDLER): 50.0, (LOOP, ENCODE): 50.0}})
    after = Capture({(1, 1): {(LOOP, HANDLER): 50.2, (LOOP, ENCODE): 99.8}})
    (change,) = cpu.difference(before, after, ms_per_request=(10.0, 15.0))
    assert change["function"] == "JSONEncoder.encode"
    assert change["change_ms"] == pytest.approx(5.0, rel=0.02)
    assert change["ci95_ms"][0] < 5.0 < change["ci95_ms"][1]


def test_a_flame_graph_is_one_wellformed_file_without_network_or_foreign_markup() -> None:
    evil = Frame('<script>alert(1)</script>"&\x00\x1b[31m\ud800', "/srv/</title><img src=x>.py", 1)
    capture = Capture({(1, 1): {(LOOP, evil): 1.0, (LOOP, HANDLER): 3.0}})
    drawing = cpu.flame_graph(capture, 'CPU of <b>"kakao"</b>')
    root = ElementTree.fromstring(drawing)
    scripts = [node for node in root.iter() if node.tag.endswith("script")]
    assert [node.text for node in scripts] == [flamegraph.SCRIPT]
    assert not [node for node in root.iter() if node.tag.endswith("img")]
    assert "://" not in drawing.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "3.00 s, 75.0%" in drawing


def test_an_empty_flame_graph_says_so_and_a_deep_one_ends() -> None:
    assert "nothing was recorded" in cpu.flame_graph(Capture(), "CPU")
    deep = Capture({(1, 1): {tuple(Frame(f"f{n}", "/srv/a.py", n) for n in range(5_000)): 1.0}})
    ElementTree.fromstring(cpu.flame_graph(deep, "CPU"))


def test_a_difference_graph_is_red_where_dearer() -> None:
    before, after = Capture({(1, 1): {(HANDLER,): 1.0}}), Capture({(1, 1): {(HANDLER,): 1.0}})
    assert "hsl(8," in cpu.difference_graph(before, after, (1.0, 3.0), "difference")
    assert "hsl(215," in cpu.difference_graph(before, after, (3.0, 1.0), "difference")
