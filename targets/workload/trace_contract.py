"""A trace as a contract for an OpenAI-style service: prompt and answer lengths as the trace has them."""

from __future__ import annotations

import json
from typing import Any

from targets.workload.tokens import TokenCounts

CHARACTERS_PER_TOKEN = 4.5  # of the English texts that [data] generates, in the emulator's tokens; tested
LONGEST_CHARACTERS = 1_000_000
ANSWER_LENGTHS = 50
MOST_SIGMA = 3.0


def lines(document: dict[str, Any], answers: TokenCounts, name: str) -> list[str]:
    """TOML that `contract_file.load` takes as it is. Prompts are lognormal, answers follow the trace's quantiles."""
    prompt = document["tokens"]["prompt"]
    return [
        "",
        "[target]",
        f"name = {json.dumps(name)}",
        'base_url = "http://127.0.0.1:9000"        # fill in: where the service listens',
        "",
        "[[endpoint]]",
        'name = "chat"',
        'kind = "generation"',
        'method = "POST"',
        'path = "/v1/chat/completions"',
        'stream = "sse"',
        "timeout_s = 120",
        "",
        "[endpoint.json]",
        'model = "default"                         # fill in',
        'messages = [{ role = "user", content = "{{prompt}}" }]',
        'max_tokens = "{{answer_tokens}}"',
        "ignore_eos = true                         # vLLM, SGLang, the emulator: exactly max_tokens; OpenAI: remove it",
        "stream = true",
        "stream_options = { include_usage = true }",
        "",
        "[data.prompt]",
        'text = "en"',
        f"length = {_length(prompt)}",
        *_fit(prompt),
        "",
        "[data.answer_tokens]                      # equally likely values of the trace",
        f"choice = {answers.spread(ANSWER_LENGTHS) if answers.n else [100]}",
        "",
    ]


def _fit(prompt: dict[str, Any] | None) -> list[str]:
    if not prompt:
        return []
    found = [
        f"# Trace: {prompt['n']:,} prompts, p50 {prompt['p50']:,}, p95 {prompt['p95']:,}, p99 {prompt['p99']:,} tokens;",
        f"# written in characters, {CHARACTERS_PER_TOKEN:g} a token.",
    ]
    fit = prompt["lognormal"]
    if fit:
        found.append(
            f"# Lognormal: median {fit['median']:g} tokens, sigma {fit['sigma']:g}; it is off by up to {fit['ks']:.1%} of prompts."
        )
    return found


def _length(prompt: dict[str, Any] | None) -> str:
    """The inline table of `sources.Length`, in characters."""
    if not prompt:
        return "{ median = 400, sigma = 0.5, min = 10, max = 4000 }"
    fit = prompt["lognormal"] or {"median": max(1, prompt["p50"]), "sigma": 0.0}
    low = _characters(prompt["min"])
    high = max(low, _characters(prompt["max"]))
    median = min(high, max(low, round(fit["median"] * CHARACTERS_PER_TOKEN)))
    return f"{{ median = {median}, sigma = {min(MOST_SIGMA, fit['sigma']):g}, min = {low}, max = {high} }}"


def _characters(tokens: int) -> int:
    return min(LONGEST_CHARACTERS, max(1, round(tokens * CHARACTERS_PER_TOKEN)))
