"""An image's name and what a registry says of it: nothing but what has the right form gets through."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.hermes import curl, daemon, image
from proxhermes.hermes.image import Name, Unanswered

DIGEST = "sha256:" + "a" * 64
WORDS = st.sampled_from(
    ["manifests", "config", "digest", "platform", "os", "linux", "architecture", "amd64", "Labels", "created", DIGEST,
     "org.opencontainers.image.version", "0.23.4", "2026-11-20T01:02:03Z", "sha256:x", ""]
)  # fmt: skip
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("nousresearch/hermes-agent", Name("docker.io", "nousresearch/hermes-agent", "latest", "")),
        ("debian:13", Name("docker.io", "library/debian", "13", "")),
        ("docker.io/debian", Name("docker.io", "library/debian", "latest", "")),
        (f"index.docker.io/a/b:1@{DIGEST}", Name("docker.io", "a/b", "1", DIGEST)),
        (f"a/b@{DIGEST}", Name("docker.io", "a/b", "", DIGEST)),
        ("registry.lan:5000/a/b/c:x", Name("registry.lan:5000", "a/b/c", "x", "")),
        ("localhost/a", Name("localhost", "a", "latest", "")),
    ],
)
def test_a_name_is_read_as_the_engines_do(written: str, name: Name) -> None:
    assert image.parse(written) == name


@pytest.mark.parametrize(
    ("written", "tagged"),
    [("a/b", "a/b:latest"), ("a/b:1", "a/b:1"), (f"a/b@{DIGEST}", f"a/b@{DIGEST}"), ("r:1/a", "r:1/a:latest")],
)
def test_a_name_is_told_with_its_tag(written: str, tagged: str) -> None:
    assert image.tagged(written) == tagged


def test_it_is_asked_for_where_the_engine_asks() -> None:
    hub = "https://registry-1.docker.io"
    assert image.bases(image.parse("a/b"), (), ()) == (hub,)
    assert image.bases(image.parse("a/b"), ("http://m:5000", "https://n/hub"), ()) == (
        "http://m:5000",
        "https://n/hub",
        hub,
    )
    assert image.bases(image.parse("ghcr.io/a/b"), ("http://m",), ("docker.io",)) == ("https://ghcr.io",)
    assert image.bases(image.parse("r.lan:5000/a"), (), ("r.lan:5000",)) == ("https://r.lan:5000", "http://r.lan:5000")


@pytest.mark.parametrize(
    ("text", "listed"),
    [(None, ()), ("{}", ()), ('{"insecure-registries": "x"}', ()), ('{"insecure-registries": ["x:1", 2]}', ("x:1",))],
)
def test_registries_without_tls_are_those_of_the_engine(text: str | None, listed: tuple[str, ...]) -> None:
    assert daemon.plain_registries(text.encode() if text is not None else None) == listed


@given(JSON)
def test_whatever_a_manifest_says_it_leads_to_a_digest_or_nowhere(document: Any) -> None:
    try:
        folder, digest = image.following(json.dumps(document).encode(), "amd64")
    except Unanswered:
        return
    assert folder in ("manifests", "blobs") and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)


@given(JSON)
def test_whatever_a_configuration_says_it_is_a_version_and_a_day_or_nothing(document: Any) -> None:
    try:
        version, made = image.described(json.dumps(document).encode())
    except Unanswered:
        assert not isinstance(document, dict)
        return
    assert version is None or re.fullmatch(r"[0-9A-Za-z.+_-]{1,64}", version)
    assert made is None or re.fullmatch(r"\d{4}-\d{2}-\d{2}", made, re.ASCII)


@given(st.binary())
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for read in (image.described, lambda body: image.following(body, "amd64")):
        try:
            read(body)
        except Unanswered:
            continue


def test_what_an_image_says_of_itself_is_told_where_it_has_that_form() -> None:
    def described(version: object, made: object) -> object:
        label = {"Labels": {"org.opencontainers.image.version": version}}
        return image.described(json.dumps({"config": label, "created": made}).encode())

    assert described("0.23.4", "2026-11-20T08:00:00.123456789+02:00") == ("0.23.4", "2026-11-20")
    assert described("0.23.4\nx", "2026-11-20") == (None, None)
    assert described("x" * 65, "\x1b[2J") == (None, None)
    assert described(23, None) == (None, None)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_an_option_of_curl_is_one_line(value: str) -> None:
    line = curl.option("user", value)
    assert line.count(b"\n") == 1 and line.endswith(b'"\n')
    inner = line.removeprefix(b'user = "').removesuffix(b'"\n').decode()
    unescaped = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), inner)
    assert unescaped == value
    assert not re.search(r'(?<!\\)(?:\\\\)*"', inner)
