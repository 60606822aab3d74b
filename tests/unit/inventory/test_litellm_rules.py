"""What is told of the way to LiteLLM before anybody is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Read = Callable[..., object]
BASE = "http://10.1.10.22:4000/v1"
PROXY = "HTTP_PROXY: 'http://10.1.10.1:3999'"


@pytest.mark.parametrize(
    ("url", "lines", "said"),
    [
        (BASE, "", []),
        (f"{BASE}/chat/completions", "", ["/chat/completions, which Hermes adds"]),
        (f"{BASE}/models/", "", ["/models, which Hermes adds"]),
        (BASE, f"{PROXY}, NO_PROXY: 'localhost,10.1.10.0/24'", ["range or with a port"]),
        (BASE, f"{PROXY}, NO_PROXY: '10.1.10.22:4000'", ["range or with a port"]),
        (BASE, f"{PROXY}, NO_PROXY: '10.1.10.22'", []),
        (BASE, PROXY, ["through the proxy"]),
        ("https://llm.example.com/v1", PROXY, []),
        ("http://litellm:4000/v1", PROXY, ["through the proxy"]),
        (BASE, "NO_PROXY: '10.1.10.0/24'", []),
    ],
)
def test_what_is_odd_is_told_with_its_place(read: Read, smallest: str, url: str, lines: str, said: list[str]) -> None:
    text = smallest.replace(BASE, url)
    text += f"    hermes: {{environment: {{{lines}}}}}\n" if lines else ""
    found = [warning.message for warning in read(text).warnings]  # type: ignore[attr-defined]
    assert len(found) == len(said) and all(words in message for words, message in zip(said, found, strict=True)), found


def test_an_address_that_is_none_is_told_once_and_breaks_no_rule(problems: Read, smallest: str) -> None:
    text = smallest.replace(BASE, "http://[") + f"    hermes: {{environment: {{{PROXY}, NO_PROXY: 'http://[,[,::'}}}}\n"
    assert [each.path for each in problems(text)] == ["litellm.base_url"]  # type: ignore[attr-defined]


def test_the_common_address_is_told_once(read: Read, smallest: str) -> None:
    text = smallest.replace(BASE, f"{BASE}/chat/completions")
    text += "  119: {node: gihyeon, hostname: two, network: {bridge: intra01}}\n"
    (warning,) = read(text).warnings  # type: ignore[attr-defined]
    assert (warning.path, "4000/v1`" in warning.allowed) == ("litellm.base_url", True)


def test_certificates_are_for_https(read: Read, smallest: str) -> None:
    text = smallest.replace("  model: claude-sonnet\n", "  model: claude-sonnet\n  ca_file: ca.pem\n")
    (warning,) = read(text).warnings  # type: ignore[attr-defined]
    assert warning.path == "litellm.ca_file"


def test_a_models_name_may_have_blanks(read: Read, problems: Read, smallest: str) -> None:
    named = read(smallest.replace("claude-sonnet", "Claude Sonnet 4")).agents[118]  # type: ignore[attr-defined]
    assert named.litellm.model == "Claude Sonnet 4"
    for odd in ('" a"', '"a "', '"a\\nb"', '"a\\tb"', '""', '"a\\u2028b"'):
        assert problems(smallest.replace("claude-sonnet", odd)), odd
