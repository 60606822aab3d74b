"""What LiteLLM says of itself, weighed: is it reached, is the key accepted, is the model served, what is its context.

The one judgement, for who asks before anything is set up and for who verifies. The main door decides: where /v1/models
does not name the model, or is not for this key, the model is asked itself, with one token. A listing lacks hidden and
team aliases, and shows what a wildcard stands for out of a table of LiteLLM's own (1.106).

Answers as of LiteLLM 1.106: a wrong key is 401, or 400 where the proxy has no database; an unknown model is 400;
`max_input_tokens` is in /v1/models in newer versions, and in /model/info under `model_info`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

REFUSED: Final = (400, 401, 403)
"""Statuses by which a key is refused, or its use for something."""
_NEAREST: Final = 3
_COMPARED: Final = 2000
"""Names of a list that are compared with the model's; a list may be anybody's."""
_LONGEST: Final = 100
_NO_MODEL: Final = re.compile(
    r"invalid model|model\S* (?:\S+ ){0,6}(?:not (?:exist|found|allowed|available)|does not exist|unknown)"
    r"|not allowed to access|no such model|unknown model|key_model_access_denied|model_not_found",
    re.IGNORECASE,
)


class Standing(StrEnum):
    """How the proxy stands to what the inventory wants. DOUBTFUL: it may serve the model, but did not just now."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    UNREACHABLE = "unreachable"
    KEY_REFUSED = "key refused"
    MODEL_UNKNOWN = "model unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to one token of a model: an HTTP status (0: none), and the body, or the reason why there is none."""

    status: int
    said: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guest got from the proxy: an HTTP status (0: none) and its bodies, or the reason why there is none.

    asked: by their names, the models that were asked themselves.
    """

    status: int
    models: str = field(default="", repr=False)
    info: str = field(default="", repr=False)
    error: str = ""
    asked: Mapping[str, Asked] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """The same, parsed for one model. said: of a refusal, or why nothing answered.

    names: of the `count` that are listed; those that are like the model's are among them.
    """

    status: int
    said: str = ""
    names: tuple[str, ...] = ()
    count: int = 0
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the proxy stands, why in a sentence, and the model's context in tokens where it told.

    listed: the model is in the list, itself or by a pattern; else it answered.
    """

    standing: Standing
    reason: str = ""
    context_length: int | None = None
    listed: bool = False


def judge(answer: Answer, model: str) -> Verdict:
    """Whether the proxy that gave `answer` will serve `model`."""
    entries = list(_entries(answer.models)) if answer.status == 200 else []
    names = tuple(str(entry["id"]) for entry in entries if entry.get("id"))
    said = "" if answer.status == 200 else (answer.error if not answer.status else message(answer.models))
    verdict = weigh(Heard(answer.status, said, names, len(names), answer.asked.get(model)), model)
    if verdict.standing not in (Standing.FINE, Standing.DOUBTFUL):
        return verdict
    return Verdict(
        verdict.standing, verdict.reason, _context(entries, list(_entries(answer.info)), model), verdict.listed
    )


def weigh(heard: Heard, model: str) -> Verdict:
    """Whether the proxy of which that was heard will serve `model`; without its context."""
    asked = heard.asked
    if asked is not None and asked.status == 200:
        return Verdict(Standing.FINE, listed=serves(heard.names, model))
    if heard.status == 200:
        return _by_list(heard, model)
    if not heard.status:
        return Verdict(
            Standing.UNREACHABLE,
            f"LiteLLM does not answer from inside the container: {heard.said or 'no reason given'}",
        )
    if asked is not None and _of_the_model(asked):
        return Verdict(Standing.MODEL_UNKNOWN, f"LiteLLM serves no model {model!r} for this key: {_told(asked)}")
    if heard.status in REFUSED:
        if asked is not None and asked.status not in REFUSED:
            why = f"LiteLLM does not list models for this key (HTTP {heard.status}), and {_doubt(asked)}"
            return Verdict(Standing.DOUBTFUL, why)
        return Verdict(Standing.KEY_REFUSED, f"LiteLLM refuses the key (HTTP {heard.status}): {heard.said}")
    if asked is not None and asked.status in (401, 403):
        return Verdict(Standing.KEY_REFUSED, f"LiteLLM refuses the key (HTTP {asked.status}): {message(asked.said)}")
    return Verdict(
        Standing.UNREACHABLE,
        f"LiteLLM does not answer from inside the container: HTTP {heard.status} {heard.said}".rstrip(),
    )


def _by_list(heard: Heard, model: str) -> Verdict:
    if serves(heard.names, model):
        return Verdict(Standing.FINE, listed=True)
    lists = f"LiteLLM lists no model {model!r} for this key"
    if heard.asked is None or _of_the_model(heard.asked) or heard.asked.status in (401, 403):
        return Verdict(Standing.MODEL_UNKNOWN, f"{lists}; {_nearest(heard, model)}")
    return Verdict(Standing.DOUBTFUL, f"{lists}, and {_doubt(heard.asked)}")


def serves(names: Iterable[str], model: str) -> bool:
    """Whether a list has the model, itself or by a pattern (`openai/*`)."""
    return any(_like(name, model) for name in names)


def _like(name: str, model: str) -> bool:
    """Of a pattern, `*` is anything, and nothing else is special. In time that grows with the lengths alone."""
    first, *rest = name.split("*")
    if not rest:
        return name == model
    if not model.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = model.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return model.endswith(rest[-1]) and len(model) - len(rest[-1]) >= at


def listed_as(model: str) -> str:
    """What a list has in it that names the model, as JSON without blanks."""
    return f'"id":{json.dumps(model, ensure_ascii=False)}'.replace(" ", "")


def question(model: str) -> bytes:
    """The body of a request that asks the model for one token."""
    return json.dumps({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Say ok."}]}).encode()


def _of_the_model(asked: Asked) -> bool:
    """Whether an answer says that it is the model that is not there, or not for this key."""
    return asked.status in (400, 401, 403, 404) and _NO_MODEL.search(message(asked.said)) is not None


def _doubt(asked: Asked) -> str:
    return f"asked for one token it gave none: {_told(asked)}"


def _told(asked: Asked) -> str:
    return f"HTTP {asked.status}: {message(asked.said)}" if asked.status else message(asked.said)


def _nearest(heard: Heard, model: str) -> str:
    """The three names that are most like the model's, and how many there are."""
    names = sorted(set(heard.names))
    if max(heard.count, len(names)) <= _NEAREST:
        return f"it lists: {', '.join(names) or 'none'}"
    short = [name for name in names if len(name) <= _LONGEST][:_COMPARED]
    near = get_close_matches(model[:_LONGEST], short, n=_NEAREST, cutoff=0.4) or names[:_NEAREST]
    return f"of the {heard.count} that it lists the nearest are: {', '.join(near)}"


def _context(models: list[dict[str, Any]], infos: list[dict[str, Any]], model: str) -> int | None:
    """The smallest context of those deployments that serve the model; of patterns only where none has its name."""
    told: dict[bool, list[object]] = {True: [], False: []}
    for entry in models:
        if _like(name := str(entry.get("id", "")), model):
            told[name == model].append(entry.get("max_input_tokens"))
    for entry in infos:
        details = entry.get("model_info")
        if _like(name := str(entry.get("model_name", "")), model) and isinstance(details, dict):
            told[name == model].append(details.get("max_input_tokens"))
    for exact in (True, False):
        tokens = [each for each in told[exact] if isinstance(each, int) and each > 0]
        if tokens:
            return min(tokens)
    return None


def _entries(body: str) -> Iterator[dict[str, Any]]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return
    listed = data.get("data") if isinstance(data, dict) else None
    yield from (entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()


def message(body: str) -> str:
    """The message in an error's body, one line of it."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        error = None
    text = error.get("message") if isinstance(error, dict) else error if isinstance(error, str) else body
    return " ".join(str(text).split())[:200] or "no reason given"
