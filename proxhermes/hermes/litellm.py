"""What LiteLLM says of itself, read: is the key accepted, is the model there, how large is its context.

Answers as of LiteLLM 1.106: a wrong key is 401, or 400 where the proxy has no database; `max_input_tokens` stands in
/v1/models in newer versions, and in /model/info under `model_info`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class Standing(StrEnum):
    """How the proxy stands to what the inventory wants."""

    FINE = "fine"
    UNREACHABLE = "unreachable"
    KEY_REFUSED = "key refused"
    MODEL_UNKNOWN = "model unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guest got from the proxy: an HTTP status (0: none) and its bodies, or the reason why there is none."""

    status: int
    models: str = field(default="", repr=False)
    info: str = field(default="", repr=False)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the proxy stands, why in a sentence, and the model's context in tokens where it told."""

    standing: Standing
    reason: str
    context_length: int | None = None


def judge(answer: Answer, model: str) -> Verdict:
    """Whether the proxy that gave `answer` will serve `model`."""
    if answer.status in (400, 401, 403):
        return Verdict(
            Standing.KEY_REFUSED, f"LiteLLM refuses the key (HTTP {answer.status}): {_message(answer.models)}"
        )
    if answer.status != 200:
        said = answer.error or f"HTTP {answer.status} {_message(answer.models)}".strip()
        return Verdict(Standing.UNREACHABLE, f"LiteLLM does not answer from inside the container: {said}")
    entries = list(_entries(answer.models))
    names = [str(entry.get("id")) for entry in entries if entry.get("id")]
    if not any(fnmatchcase(model, name) if "*" in name else model == name for name in names):
        return Verdict(
            Standing.MODEL_UNKNOWN,
            f"LiteLLM lists no model {model!r} for this key; it lists: {', '.join(sorted(names)) or 'none'}",
        )
    return Verdict(Standing.FINE, "", _context(entries, list(_entries(answer.info)), model))


def _context(models: list[dict[str, Any]], infos: list[dict[str, Any]], model: str) -> int | None:
    """The smallest context of those deployments that serve the model."""
    told: list[object] = [entry.get("max_input_tokens") for entry in models if entry.get("id") == model]
    for entry in infos:
        details = entry.get("model_info")
        if entry.get("model_name") == model and isinstance(details, dict):
            told.append(details.get("max_input_tokens"))
    return min((tokens for tokens in told if isinstance(tokens, int) and tokens > 0), default=None)


def _entries(body: str) -> Iterator[dict[str, Any]]:
    try:
        data = json.loads(body)
    except ValueError:
        return
    listed = data.get("data") if isinstance(data, dict) else None
    yield from (entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()


def _message(body: str) -> str:
    """The message in an error's body, one line of it."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        error = None
    text = error.get("message") if isinstance(error, dict) else body
    return " ".join(str(text).split())[:200] or "no reason given"
