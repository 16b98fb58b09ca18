"""What an operation is, and whether a curious load may call it. Words decide; what no word names is left off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from targets.openapi.document import OpenApi, Operation, table, words

Kind = Literal["generation", "search", "health", "other"]

HEALTH = words("health healthz healthcheck ready readyz readiness live livez liveness alive ping")
METRICS = {"metrics", "prometheus"}
GENERATION = words(
    "generate generation generations chat completion completions ask answer answers analyze analyse analysis summarize "
    "summarise summary translate draft compose rewrite paraphrase infer inference predict prediction respond"
)
SEARCH = words("search searches query queries retrieve retrieval find lookup similar similarity suggest autocomplete "
             "recommend recommendations rag faq")  # fmt: skip
MODELS = words("embed embedding embeddings rerank classify classification tokenize moderation moderations")
DESTRUCTIVE = words(
    "admin internal clear reset delete remove drop purge flush wipe truncate erase destroy unlink restart shutdown stop "
    "kill abort cancel revoke logout disable deactivate migrate rollback rebuild reindex reload restore format gc"
)
ACTS = words(
    "login signup signin register registration token tokens auth pay payment payments order orders checkout purchase refund "
    "subscribe unsubscribe send email mail sms notify notification notifications webhook webhooks upload uploads import "
    "ingest index insert create add update upsert save train finetune feedback vote rate report invite publish"
)
PROMPTS = {"prompt", "messages", "max_tokens", "temperature"}
QUERIES = {"q", "query", "top_k"}
VERSION = re.compile(r"v\d+(\w*)")
FILLER = {"api", "rest", "public"}


@dataclass(frozen=True)
class Judged:
    """`why`: empty where it is enabled, else the reason that is written beside it."""

    kind: Kind
    enabled: bool
    why: str = ""


def judge(operation: Operation, document: OpenApi) -> Judged:
    """Enabled only: GET and POST that are recognised and whose words name nothing that changes or destroys."""
    kind = kind_of(operation, document)
    return Judged(kind or "other", not (why := _objection(operation, kind)), why)


def kind_of(operation: Operation, document: OpenApi) -> Kind | None:
    """The last word of the path that says something decides; then the operation's name; then what it takes."""
    segments = [_words(segment) for segment in operation.path.split("/") if segment and not segment.startswith("{")]
    if operation.method == "GET" and segments and HEALTH & set(segments[-1]):
        return "health"
    for said in [*reversed(segments), _words(operation.operation_id)]:
        for kind, known in (("generation", GENERATION), ("search", SEARCH), ("other", MODELS)):
            if known & set(said):
                return kind  # type: ignore[return-value]
    taken = {parameter.name for parameter in operation.parameters if parameter.where == "query"}
    taken |= set(table(document.resolve(operation.body).get("properties"))) if operation.body else set()
    if operation.method == "POST" and taken & PROMPTS:
        return "generation"
    return "search" if taken & QUERIES else None


def is_metrics(operation: Operation) -> bool:
    return operation.method == "GET" and operation.path.rstrip("/").rsplit("/", 1)[-1] in METRICS


def path_words(path: str) -> list[str]:
    """The words that tell one path from another: without api, v1 and what stands in braces."""
    segments = [segment for segment in path.split("/") if segment and not segment.startswith("{")]
    return [word for s in segments for word in _words(s) if word not in FILLER and not VERSION.fullmatch(word)]


def _objection(operation: Operation, kind: Kind | None) -> str:
    said = set(path_words(operation.path)) | set(_words(operation.operation_id))
    said |= {word for tag in operation.tags for word in _words(tag)}
    destructive = sorted(said & DESTRUCTIVE)
    if operation.method not in ("GET", "POST"):
        return f"{operation.method} changes or removes data"
    if destructive:
        return f'its name says "{destructive[0]}", which may change or remove data'
    if operation.deprecated:
        return "it is marked as deprecated"
    if is_metrics(operation):
        return "it is read once a second while a run goes on, not loaded"
    if operation.body_type.startswith("multipart/"):
        return "it takes a file upload, which a contract cannot fill"
    if operation.credential and not operation.credential.header:
        return f"its key goes into the {operation.credential.where}, and secrets stand only in headers"
    if kind is None:
        return "not recognised as generation, search or health"
    acts = sorted(set(path_words(operation.path)) & ACTS) if operation.method == "POST" else []
    return f'its name says "{acts[0]}", which may store or send something' if acts else ""


def _words(text: str) -> list[str]:
    """search_faq, searchFaq and Search-FAQ as search, faq."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]
