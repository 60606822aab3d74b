from __future__ import annotations

import json
from typing import Any

import pytest

from proxhermes.lab.mocks.script import Reply, reply_to, seconds_to_take

OFFERED = [{"type": "function", "function": {"name": name}} for name in ("terminal", "write_file", "mcp__lab__add")]


def ask(prompt: str, *later: dict[str, Any], tools: list[dict[str, Any]] | None = None) -> Reply:
    messages = [
        {"role": "system", "content": "Reply with exactly: NOT-THIS"},
        {"role": "user", "content": prompt},
        *later,
    ]
    return reply_to(messages, OFFERED if tools is None else tools)


def result(**answer: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "1", "content": json.dumps(answer)}


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("ping", "pong"),
        ("Reply with exactly: PROOF-1a2b", "PROOF-1a2b"),
        ("reply with exactly 'x_y.z'.", "x_y.z"),
        ("write a poem", "pong"),
        ("Quote the line with NOT-THIS.", "Reply with exactly: NOT-THIS"),
        ("Quote the line with ELSE", "No line that I was given has that."),
        ("", "pong"),
    ],
)
def test_words(prompt: str, answer: str) -> None:
    assert ask(prompt) == Reply(answer)


def test_a_prompt_in_parts() -> None:
    parts = [{"type": "text", "text": "Reply with exactly: A"}]
    assert reply_to([{"role": "user", "content": parts}], []) == Reply("A")


@pytest.mark.parametrize(
    ("prompt", "tool", "arguments"),
    [
        ("Write T-1 to /data/a.txt", "write_file", {"path": "/data/a.txt", "content": "T-1\n"}),
        ('Put the text "T-1" into file "/d/a". Then', "write_file", {"path": "/d/a", "content": "T-1\n"}),
        ("Use your terminal to run exactly this command: echo n > '/d/x' . Then reply with exactly: done", "terminal",
         {"command": "echo n > '/d/x'"}),
        ("Run `date -u`, please", "terminal", {"command": "date -u"}),
        ('Call the tool mcp__lab__add with {"a": {"b": "}"}} and tell', "mcp__lab__add", {"a": {"b": "}"}}),
    ],
)  # fmt: skip
def test_tool_calls(prompt: str, tool: str, arguments: dict[str, str]) -> None:
    reply = ask(prompt)
    assert reply.tool is not None
    assert (reply.tool.name, json.loads(reply.tool.arguments)) == (tool, arguments)


def test_the_terminal_will_do_where_there_is_no_tool_for_files() -> None:
    reply = ask("Write a;b to /data/x", tools=OFFERED[:1])
    assert reply.tool is not None
    assert json.loads(reply.tool.arguments) == {"command": "printf '%s\\n' 'a;b' > /data/x"}


def test_without_a_tool_it_says_so() -> None:
    assert "no tool" in ask("Write a to /data/x", tools=[]).text


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    assert "no tool" in ask("Call the tool mcp__lab__erase with {}").text


def test_a_tool_that_is_not_listed_is_called_through_the_one_that_can() -> None:
    """Hermes 0.22's own check of the arguments: tools/tool_search_validation.py, normalize_tool_call_entries."""
    bridge = [{"type": "function", "function": {"name": name}} for name in ("tool_search", "tool_call", "mcp__a__b")]
    reply = ask('Call the tool mcp__lab__add with {"a": 1}', tools=bridge)
    assert reply.tool is not None and reply.tool.name == "tool_call"
    assert json.loads(reply.tool.arguments) == {"calls": [{"name": "mcp__lab__add", "arguments": {"a": 1}}]}
    listed = ask("Call the tool mcp__a__b with {}", tools=bridge)
    assert listed.tool is not None and listed.tool.name == "mcp__a__b"


def test_it_remembers_what_was_said_earlier_and_nothing_else() -> None:
    question = "Recall the word that begins with CAT-"
    earlier = [{"role": "user", "content": "Remember CAT-minka-1, please"}, {"role": "assistant", "content": "pong"}]
    assert reply_to([*earlier, {"role": "user", "content": question}], []) == Reply("CAT-minka-1")
    assert "no such word" in reply_to([{"role": "user", "content": question}], []).text
    assert "no such word" in ask(question).text


@pytest.mark.parametrize(
    ("prompt", "later", "seconds"),
    [
        ("Take 20 seconds. Reply with exactly: A", [], 20),
        ("Take 1 second and run `a`", [], 1),
        ("Take 1 second and run `a`", [{"role": "assistant"}, result(output="")], 0),
        ("It took 20 seconds", [], 0),
    ],
)
def test_it_takes_its_time_once(prompt: str, later: list[dict[str, Any]], seconds: int) -> None:
    assert seconds_to_take([{"role": "user", "content": prompt}, *later]) == seconds


def test_after_the_tool_it_finishes() -> None:
    prompt = "Write a to /data/x. Then reply with exactly: OK-1"
    assert ask(prompt, {"role": "assistant"}, result(output="", exit_code=0, error=None)) == Reply("OK-1")


@pytest.mark.parametrize("answer", [{"error": "denied"}, {"output": "", "exit_code": 1, "error": None}])
def test_a_tool_that_failed_is_not_passed_off_as_done(answer: dict[str, object]) -> None:
    reply = ask("Write a to /data/x. Then reply with exactly: OK-1", {"role": "assistant"}, result(**answer))
    assert reply.text.startswith("The tool failed: ")


def test_an_earlier_tool_result_does_not_answer_a_new_prompt() -> None:
    earlier = [{"role": "user", "content": "Run `a`"}, {"role": "assistant"}, result(output="", exit_code=0)]
    assert reply_to([*earlier, {"role": "user", "content": "Run `b`"}], OFFERED).tool is not None
