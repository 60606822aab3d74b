"""Logins at registries: (inventory) -> the file that Docker, Podman and skopeo read, and nothing that shows it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from proxhermes.errors import SecretError
from proxhermes.hermes import registry
from proxhermes.redaction import redact


def auths(make_agent: Any, *registries: str) -> dict[str, Any]:
    login = {"username": "joe", "password": {"env": "REGISTRY_PASSWORD"}}
    agent = make_agent(runtime={"registry_auth": dict.fromkeys(registries, login)})
    ((name, (content, mode)),) = registry.bundle(agent).items()
    assert (name, mode) == (registry.NAME, 0o600)
    return json.loads(content)["auths"]  # type: ignore[no-any-return]


def test_each_finds_its_registry_by_the_name_it_knows(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cret:word")
    found = auths(make_agent, "docker.io", "ghcr.io", "registry.lan:5000")
    assert set(found) == {"docker.io", "https://index.docker.io/v1/", "ghcr.io", "registry.lan:5000"}
    assert {base64.b64decode(each["auth"]).decode() for each in found.values()} == {"joe:s3cret:word"}


def test_a_login_is_masked_in_both_its_forms(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "another-s3cret")
    encoded = auths(make_agent, "ghcr.io")["ghcr.io"]["auth"]
    assert redact(f"x {encoded} y another-s3cret") == "x ******** y ********"


def test_without_logins_there_is_no_file_and_nothing_is_asked(make_agent: Any) -> None:
    assert registry.bundle(make_agent()) == {}
    agent = make_agent(
        runtime={"registry_auth": {"ghcr.io": {"username": "a", "password": {"env": "NOT_SET_ANYWHERE"}}}}
    )
    with pytest.raises(SecretError, match="NOT_SET_ANYWHERE"):
        registry.bundle(agent)
