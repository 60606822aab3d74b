"""Where the agent's code comes from: what is written wrongly, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from proxhermes.inventory.problems import InventoryError

HEAD = """\
version: 1
nodes: {n: {api: "https://h:8006", token: u@pve!tok, token_secret: {env: S}}}
litellm: {base_url: "http://l:4000/v1", api_key: {env: K}, model: m}
agents:
  118:
    node: n
    hostname: h
    network: {bridge: b}
"""
DIGEST = "sha256:" + "a" * 64


def told(read: Any, runtime: str, kind: str = "native") -> list[tuple[str, str, str]]:
    """Path, message and what is allowed, of each mistake."""
    try:
        read(HEAD + f"    runtime: {{type: {kind}, {runtime}}}\n")
    except InventoryError as error:
        return [(each.path.removeprefix("agents.118.runtime."), each.message, each.allowed) for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("runtime", "path", "message", "allowed"),
    [
        ("package: {image: 'a b'}", "package.image", "is not the name of an image", "[REGISTRY/]NAME"),
        ("package: {image: a, pypi: b}", "package", "exactly one place", "{image: NAME:TAG}, {pypi: …}"),
        ("package: {image: a, ref: b}", "package", "`ref` belongs to `git`", ""),
        ("package: {image: a, require_hashes: b}", "package", "digest is its hash", "@sha256:DIGEST"),
        ("package: {image: a}, extras: [cli]", "extras", "has extras of its own", "no `extras`"),
        ("package: {image: a}, python: '3.14'", "python", "has Python of its own", "no `python`"),
        ("package: {image: a}, python_mirror: 'http://x'", "python_mirror", "of its own", "no `python_mirror`"),
        ("python: 3.14", "python", "a version is text: as a number, 3.10 would be 3.1", '`python: "3.14"`, in quotes'),
        ("python: '3.10'", "python", "no Python 3.10 is known", "`3.14` or the path of a Python"),
        ("python: python3", "python", "'python3' is not a Python", "`auto`, `3.11`"),
        ("python: /opt/../x", "python", "is not a Python", ""),
        ("python_mirror: 'file:///x'", "python_mirror", "is not a URL of the kind http or https", ""),
        ("python_archive: {url: 'http://x/y'}", "python_archive.sha256", "`sha256` is missing", "Its hash."),
        ("python_archive: {url: 'http://x/y', sha256: abc}", "python_archive.sha256", "not a SHA-256", "64 hex digits"),
        ("python: '3.14', python_archive: {url: 'http://x/y', sha256: '" + "a" * 64 + "'}", "python_archive",
         "`python` (line 9) says which one it is", "one of the two"),
        ("registry_auth: {'ghcr.io/joe': {username: a, password: {env: P}}}", "registry_auth.ghcr.io/joe",
         "is not the name of a registry", "`ghcr.io`"),
        ("registry_auth: {ghcr.io: {username: 'a:b', password: {env: P}}}", "registry_auth.ghcr.io.username",
         "is not the name of a user", "without a colon"),
        ("registry_auth: {ghcr.io: {username: a, password: hunter2}}", "registry_auth.ghcr.io.password",
         "a secret is never written here", "{env: NAME}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(read: Any, runtime: str, path: str, message: str, allowed: str) -> None:
    [(at, said, instead)] = told(read, runtime)
    assert at == path
    assert message in said
    assert allowed in instead
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("kind", "runtime"),
    [
        ("native", "package: {image: nousresearch/hermes-agent}"),
        ("native", f"package: {{image: 'registry.lan:5000/a/b:1.0@{DIGEST}'}}, extra_python_packages: [six]"),
        ("persistent", "package: {image: nousresearch/hermes-agent:0.23.4}"),
        ("native", "package: {pypi: hermes-agent==0.22.2, require_hashes: a.lock}, python: /usr/local/bin/python3.14"),
        ("persistent", "python: '3.12', python_mirror: 'https://mirror.lan/pbs'"),
        ("docker", "registry_auth: {docker.io: {username: a, password: {file: p}}}"),
    ],
)  # fmt: skip
def test_what_is_right_passes(read: Any, kind: str, runtime: str) -> None:
    assert told(read, runtime, kind) == []


def test_the_official_image_has_its_own_code(read: Any) -> None:
    [(path, message, _)] = told(read, "package: {image: a}", "docker")
    assert path == "package"
    assert "unknown key `package`" in message or "no package" in message


@pytest.mark.parametrize(
    ("runtime", "warned"),
    [
        ("extras: [cli]", True),
        ("extras: []", True),
        ("extras: [cli, messaging]", False),
        ("extras: [cli], extra_python_packages: [aiohttp==3.14.1]", False),
        ("extras: [cli], extra_python_packages: [aiohttp-socks]", True),
        ("extras: [cli], package: {pypi: 'hermes-agent[web,slack]==0.19.0'}", False),
        ("extras: [cli], package: {pypi: 'hermes-agent[web]==0.19.0'}", True),
        ("python: auto", False),
    ],
)
@pytest.mark.parametrize("kind", ["native", "persistent"])
def test_an_agent_without_what_serves_its_api_is_warned_of(read: Any, kind: str, runtime: str, warned: bool) -> None:
    warnings = read(HEAD + f"    runtime: {{type: {kind}, {runtime}}}\n").warnings
    assert [("aiohttp" in each.message, each.path) for each in warnings] == (
        [(True, "agents.118.runtime.extras")] if warned else []
    )
