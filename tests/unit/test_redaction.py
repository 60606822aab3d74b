"""What is shown holds no secret, and does nothing to the terminal."""

from __future__ import annotations

import json

import pytest

from proxhermes.redaction import redact, redacted, register_secret


@pytest.mark.parametrize(
    "token",
    [
        "123456789:AAExampleExampleExampleExampleExample",
        "xoxb-1234567890-abcdefghij",
        "xapp-1-A012-345-abcdef",
        "sk-proj_0123456789abcdef",
        "Bearer 0123456789abcdef",
    ],
)
def test_what_looks_like_a_token_is_masked_though_nobody_registered_it(token: str) -> None:
    shown = redact(f"telegram retrying (The token `{token}` was rejected by the server.)")
    assert token.removeprefix("Bearer ") not in shown and "was rejected" in shown


@pytest.mark.parametrize(
    "text",
    [
        "task-with-a-long-name-of-its-own",
        "UPID:pve:00012345:00678901:65A0F3B2:vzcreate:118:root@pam:",
        "sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "BC:24:11:AE:B0:13 at 10.1.10.50:4000\n\tindented",
        "Authorization: Bearer ${LITELLM_API_KEY}",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_a_guest_cannot_talk_to_the_terminal() -> None:
    assert redact("a\x1b[2J\x1b]52;c;ZXZpbA==\x07b\x1b]0;title\x1b\\\x9b31m\x08c\r\nd\u202e") == "ab31mc\nd"


def test_a_control_character_hides_no_secret() -> None:
    register_secret("hunter2hunter2")
    assert redact("x hunter2\x07hunter2") == "x ********"


def test_in_json_a_secret_is_found_before_its_escapes_hide_it() -> None:
    register_secret('quo"ted\\secret')
    shown = json.dumps(redacted({"changes": ({"before": 'x quo"ted\\secret', "count": 1, "after": None},)}))
    assert json.loads(shown) == {"changes": [{"before": "x ********", "count": 1, "after": None}]}
