"""The way back from a consent: where an address for the browser comes back to, and what is taken for the answer."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from proxhermes.hermes import oauth


def address(back: str, state: str = "s1") -> str:
    query = {"response_type": "code", "client_id": "c", "redirect_uri": back, "state": state}
    return f"https://login.example.com/authorize?{urlencode(query)}"


@pytest.mark.parametrize(
    ("back", "port", "path"),
    [
        ("http://127.0.0.1:40123/callback", 40123, "/callback"),
        ("http://localhost:8080/callback", 8080, "/callback"),
        ("http://[::1]:1024/", 1024, "/"),
        ("https://proxy.example.com/callback", None, "/callback"),
        ("http://10.0.0.1:80/callback", None, "/callback"),
    ],
)
def test_where_the_browser_comes_back_to(back: str, port: int | None, path: str) -> None:
    found = oauth.read(address(back))
    assert (found.port, found.path, found.state) == (port, path, "s1")


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/callback?code=x&state=s1", True),
        ("/callback?error=access_denied&state=s1", True),
        ("/callback?state=s1", False),
        ("/callback?code=x&state=s2", False),
        ("/callback?code=x", False),
        ("/callback?code=x&state=s1&state=s2", False),
        ("/favicon.ico", False),
        ("/other?code=x&state=s1", False),
    ],
)
def test_only_the_answer_to_just_this_question_is_taken(target: str, wanted: bool) -> None:
    assert oauth.read(address("http://127.0.0.1:4000/callback")).answers(target) is wanted


def test_what_comes_in_the_place_of_a_code() -> None:
    assert oauth.refusal("/callback?code=x&state=s1") is None
    assert oauth.refusal("/callback?error=access_denied&state=s1") == "access_denied"
    assert oauth.refusal("/callback?error=a&error_description=not+you") == "a: not you"


def test_an_address_without_a_way_back() -> None:
    with pytest.raises(ValueError, match="no place"):
        oauth.read("https://login.example.com/authorize?response_type=code")


@pytest.mark.parametrize(
    "url",
    [
        address("http://127.0.0.1:22/callback"),
        address("http://127.0.0.1/callback"),
        address("http://127.0.0.1:99999/callback"),
        address("http://127.0.0.1:4000/callback").replace("https://", "ftp://"),
        address("http://127.0.0.1:4000/callback").replace("https://", "javascript://"),
        address("http://127.0.0.1:4000/callback").replace("//", "//login.bank.example@", 1),
        address("http://127.0.0.1:4000/callback") + "\x1b]0;title\x07",
        address("http://127.0.0.1:4000/callback") + "&x=\u202egnp.exe",
        address("http://127.0.0.1:4000/callback") + "&x= y",
        address("http://127.0.0.1:4000/callback") + "&x=" + "y" * 10_000,
        "https://[login/?redirect_uri=http://127.0.0.1:4000/",
        "https://?redirect_uri=http://127.0.0.1:4000/",
        "",
    ],
)
def test_what_no_browser_is_sent_to(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        oauth.read(url)
    assert "\x1b" not in str(caught.value)
