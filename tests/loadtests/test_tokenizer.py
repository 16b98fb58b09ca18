"""A tokenizer.json that counts what a server does not."""

from pathlib import Path

import pytest
from real_runs import contract, rows, run
from servers import Scripted, openai, sse

from loadtests.tokenizer import counter
from measurements.errors import ContractError, UsageError

tokenizers = pytest.importorskip("tokenizers")


def saved(folder: Path) -> Path:
    """Each word and each mark is a token."""
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_run_counts_tokens_by_it_and_marks_them(tmp_path: Path) -> None:
    saved(tmp_path)
    endpoint = {"name": "chat", "path": "/chat", "stream": "sse", "tokenizer": "tokenizer.json"}
    events = [openai("a court has"), openai(" decided"), openai(", twice.", "stop"), "[DONE]"]
    with Scripted({"/chat": sse(events, 0.02, 0.01)}) as server:
        made = run(contract(server.url, [endpoint], tmp_path), tmp_path, rate_rps=10.0)
    found = rows(made.directory)
    assert {(row["outcome"], row["tokens_out"], row["tokens_source"]) for row in found} == {("ok", 7, "tokenizer")}
    tokens = made.directory.table("tokens").to_pylist()
    assert sum(event["tokens"] for event in tokens) == 7 * len(found)


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")
    endpoint = {"name": "chat", "path": "/", "tokenizer": "broken.json"}
    made = contract("http://127.0.0.1:1", [endpoint], tmp_path)
    with pytest.raises(UsageError, match=r"is no tokenizer\.json"):
        counter(made.endpoint[0], made)
    with pytest.raises(ContractError, match="there is no file"):
        contract("http://127.0.0.1:1", [endpoint | {"tokenizer": "absent.json"}], tmp_path)
