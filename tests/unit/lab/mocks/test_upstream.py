from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from proxhermes.lab.mocks.upstream import MODELS, Journal, Upstream

TOOLS = [{"type": "function", "function": {"name": "terminal"}}]


@pytest.fixture
def url(serve: Callable[[Upstream], str], tmp_path: Path) -> str:
    return serve(Upstream(("127.0.0.1", 0), Journal(tmp_path / "log.jsonl")))


def body(prompt: str, **more: object) -> dict[str, Any]:
    return {"model": "mock-sonnet", "messages": [{"role": "user", "content": prompt}], **more}


def stream(url: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    with requests.post(
        f"{url}/v1/chat/completions", json={**request, "stream": True}, stream=True, timeout=5
    ) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_models(url: str) -> None:
    listed = requests.get(f"{url}/v1/models", timeout=5).json()["data"]
    assert tuple(model["id"] for model in listed) == MODELS


def test_a_whole_answer(url: str) -> None:
    answer = requests.post(f"{url}/v1/chat/completions", json=body("Reply with exactly: A-1"), timeout=5).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "A-1"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_a_streamed_answer_adds_up_and_ends_with_the_usage_if_asked(url: str) -> None:
    events = stream(url, body("Reply with exactly: ABC", stream_options={"include_usage": True}))
    assert events.pop()["usage"]["completion_tokens"] > 0
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content", "") for delta in deltas) == "ABC"
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({event["id"] for event in events}) == 1
    assert all("usage" not in event for event in stream(url, body("ping")))


def test_a_streamed_tool_call_adds_up(url: str) -> None:
    events = stream(url, body("Run `date`", tools=TOOLS))
    calls = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "terminal"
    assert calls[0]["id"]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"command": "date"}
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_requests_are_recorded_without_their_key(url: str, tmp_path: Path) -> None:
    requests.post(
        f"{url}/v1/chat/completions",
        json=body("ping", tools=TOOLS),
        headers={"Authorization": "Bearer sk-9"},
        timeout=5,
    )
    [entry] = requests.get(f"{url}/requests", timeout=5).json()
    assert (entry["model"], entry["tools"], entry["last"]["text"]) == ("mock-sonnet", ["terminal"], "ping")
    log = (tmp_path / "log.jsonl").read_text()
    assert json.loads(log) == entry
    assert "sk-9" not in log


def test_an_answer_that_takes_its_time_is_on_record_before_it_is_given(url: str) -> None:
    with ThreadPoolExecutor() as others:
        slow = body("Take 1 second. Reply with exactly: SLOW")
        answer = others.submit(requests.post, f"{url}/v1/chat/completions", json=slow, timeout=20)
        while not (asked := requests.get(f"{url}/requests", timeout=5).json()):
            assert not answer.done()
        assert asked[0]["reply"] == "SLOW" and not answer.done()
    assert answer.result().json()["choices"][0]["message"]["content"] == "SLOW"


def test_what_it_does_not_know_is_not_found(url: str) -> None:
    assert requests.get(f"{url}/v1/nothing", timeout=5).status_code == 404
    assert requests.post(f"{url}/v1/embeddings", json={}, timeout=5).status_code == 404
