"""guest-registry.sh for real, at a real registry and at one that is not to be trusted: what a tag means now."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import bcrypt
import pytest

from proxhermes.facts.guest import File, GuestFacts
from proxhermes.facts.registry import newer
from proxhermes.hermes.image import Build, Unanswered
from proxhermes.inventory.models import Agent
from proxhermes.transport.command import CommandResult
from tests.unit.registry import Entry, Layout, archive, needs_tools, registry

NAME = "nousresearch/hermes-agent"
PASSWORD = 'a-"pass"-\\word'
OLD = "sha256:" + "a" * 64
ARCHITECTURES = ("amd64", "arm64")


@dataclass
class Here:
    """The guest's door, with this machine behind it. path: of its commands."""

    folder: Path
    path: str = os.environ["PATH"]
    asked: list[str] = field(default_factory=list)

    def run(self, bundle: Any, entry: str, args: list[str], **_: Any) -> CommandResult:
        lain = self.folder / f"bundle-{len(self.asked)}"
        lain.mkdir()
        for name, (content, mode) in bundle.items():
            (lain / name).write_bytes(content)
            (lain / name).chmod(mode)
        self.asked.append(args[0])
        words = ("sh", f"./{entry}", *args)
        done = subprocess.run(
            words, cwd=lain, env={"PATH": self.path}, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return CommandResult(0, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _nobody_behind_the_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxhermes.hermes.registry.HUB", "127.0.0.1:9")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@dataclass
class Pushed:
    """What is in the registry: the index, and what an engine may know of the image for each architecture."""

    address: str
    index: str
    manifests: dict[str, str]
    configs: dict[str, str]


def fill(folder: Path) -> tuple[Layout, Callable[[str, str], Pushed]]:
    layout = Layout(folder)
    for number, architecture in enumerate(ARCHITECTURES):
        labels = {"Labels": {"org.opencontainers.image.version": f"0.23.{number}"}}
        layers = [("gzip", archive([Entry("x", architecture)]))]
        layout.image(architecture, layers, config=labels, created=f"2026-11-2{number}T01:02:03.45Z")

    def pushed(address: str, index: str) -> Pushed:
        def load(digest: str) -> Any:
            return json.loads((folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_text())

        manifests = {each["platform"]["architecture"]: each["digest"] for each in load(index)["manifests"]}
        configs = {name: load(digest)["config"]["digest"] for name, digest in manifests.items()}
        return Pushed(address, index, manifests, configs)

    return layout, pushed


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    folder = tmp_path_factory.mktemp("registry")
    layout, pushed = fill(folder / "layout")
    with registry(folder / "registry") as address:
        yield pushed(address, layout.push(address, f"{NAME}:latest"))


def mirrored(make_agent: Any, address: str, **runtime: Any) -> Agent:
    """An agent with an image of Docker Hub, that has a mirror."""
    return make_agent(engine={"registry_mirrors": [f"http://{address}"]}, runtime=runtime)  # type: ignore[no-any-return]


def facts(*digests: str, architecture: str = "amd64", **fields: Any) -> GuestFacts:
    known: dict[str, Any] = {"image_id": OLD, "image_architecture": architecture}
    return GuestFacts(**known | {"image_digests": tuple(f"{NAME}@{digest}" for digest in digests)} | fields)


def insecure(address: str) -> dict[str, File]:
    """What Docker is told of a registry without TLS."""
    daemon = json.dumps({"insecure-registries": [address]}).encode()
    return {"daemon": File(0, 0, 0o644, "regular file", daemon)}


def ask(agent: Agent, here: Any, facts: GuestFacts) -> Build | None:
    return newer(agent, here, facts)


@needs_tools
@pytest.mark.parametrize("number", [0, 1])
def test_a_tag_that_moved_is_told_with_what_the_image_of_this_architecture_says(
    make_agent: Any, here: Here, open_registry: Pushed, number: int
) -> None:
    found = ask(mirrored(make_agent, open_registry.address), here, facts(OLD, architecture=ARCHITECTURES[number]))
    assert found == Build(open_registry.index, f"0.23.{number}", f"2026-11-2{number}")
    assert len(here.asked) == 3


@needs_tools
def test_an_image_is_the_same_by_each_digest_that_an_engine_may_know_it_by(
    make_agent: Any, here: Here, open_registry: Pushed
) -> None:
    agent = mirrored(make_agent, open_registry.address)
    assert ask(agent, here, facts(OLD, open_registry.index)) is None
    assert len(here.asked) == 1
    assert ask(agent, here, facts(open_registry.manifests["amd64"])) is None
    for prefix in ("", "sha256:"):  # Podman's ids have none
        known = prefix + open_registry.configs["amd64"].removeprefix("sha256:")
        assert ask(agent, here, facts(image_id=known)) is None
    assert ask(agent, here, facts(open_registry.manifests["arm64"])) is not None


@needs_tools
def test_a_digest_of_another_repository_does_not_count(make_agent: Any, here: Here, open_registry: Pushed) -> None:
    agent = mirrored(make_agent, open_registry.address)
    for other in (f"ghcr.io/{NAME}", "hermes-agent", f"{NAME}-more"):
        assert ask(agent, here, facts(image_digests=(f"{other}@{open_registry.index}",))) is not None
    for same in (NAME, f"docker.io/{NAME}", f"index.docker.io/{NAME}"):
        assert ask(agent, here, facts(image_digests=(f"{same}@{open_registry.index}",))) is None


@needs_tools
def test_a_registry_is_asked_without_tls_where_the_engine_may(
    make_agent: Any, here: Here, open_registry: Pushed
) -> None:
    agent = make_agent(runtime={"image": f"{open_registry.address}/{NAME}"})
    with pytest.raises(Unanswered, match=f"^https://{open_registry.address}: curl: "):
        ask(agent, here, facts())
    found = ask(agent, here, facts(files=insecure(open_registry.address)))
    assert found is not None and found.digest == open_registry.index


@needs_tools
def test_a_mirror_that_has_it_not_leaves_it_to_the_next(make_agent: Any, here: Here, open_registry: Pushed) -> None:
    with served({}) as (empty, _):
        mirrors = ["http://127.0.0.1:9", f"http://{empty}", f"http://{open_registry.address}"]
        found = ask(make_agent(engine={"registry_mirrors": mirrors}), here, facts())
    assert found is not None and found.digest == open_registry.index


@needs_tools
def test_a_login_of_the_inventory_is_used_and_shows_nowhere(
    make_agent: Any, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    password_file = tmp_path / "htpasswd"
    password_file.write_bytes(b"joe:" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)) + b"\n")
    layout, _ = fill(tmp_path / "layout")
    with registry(tmp_path / "registry", password_file) as address:
        index = layout.push(address, f"{NAME}:latest", f"--dest-creds=joe:{PASSWORD}")
        own, there = {"image": f"{address}/{NAME}"}, facts(files=insecure(address))
        with pytest.raises(Unanswered, match=f"^http://{address}: HTTP 401$"):
            ask(make_agent(runtime=own), here, there)
        login = {address: {"username": "joe", "password": {"env": "REGISTRY_PASSWORD"}}}
        found = ask(make_agent(runtime=own | {"registry_auth": login}), here, there)
    assert found is not None and found.digest == index
    assert not any("joe" in words for words in here.asked)


Answer = tuple[int, dict[str, str], bytes]
Request = tuple[str, dict[str, str]]


@contextmanager
def served(answers: dict[str, Answer | Callable[[dict[str, str]], Answer]]) -> Iterator[tuple[str, list[Request]]]:
    """A server that answers as it is told, by path, and 404 else; its HOST:PORT, and what it was asked."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append((self.path, headers))
            found = answers.get(self.path.partition("?")[0], (404, {}, b""))
            status, extra, body = found(headers) if callable(found) else found
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


CONFIG = json.dumps({"architecture": "amd64"}).encode()
MANIFEST = json.dumps({"schemaVersion": 2, "config": {"digest": digest_of(CONFIG)}}).encode()
TAG, BLOB = f"/v2/{NAME}/manifests/latest", f"/v2/{NAME}/blobs/{digest_of(CONFIG)}"
TOKEN = "eyJ.a-b_c~d+e/f=="


@pytest.mark.parametrize("login", [False, True])
def test_a_token_is_asked_for_as_the_registry_says(
    make_agent: Any, here: Here, monkeypatch: pytest.MonkeyPatch, login: bool
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    challenge, scope = [""], f"repository:{NAME}:pull,push"

    def guarded(body: bytes, headers: dict[str, str]) -> Answer:
        if headers.get("authorization") == f"Bearer {TOKEN}":
            return 200, {}, body
        return 401, {"WWW-Authenticate": challenge[0]}, b""

    token = json.dumps({"expires_in": 300, "token": TOKEN}, indent=1).encode()
    answers: dict[str, Any] = {
        "/token": (200, {}, token),
        TAG: partial(guarded, MANIFEST),
        BLOB: partial(guarded, CONFIG),
    }
    with served(answers) as (address, seen):
        challenge[0] = f'Bearer realm="http://{address}/token?a=b",service="a registry",scope="{scope}"'
        auth = {address: {"username": "joe", "password": {"env": "REGISTRY_PASSWORD"}}} if login else {}
        found = ask(mirrored(make_agent, address, registry_auth=auth), here, facts())
    assert found == Build(digest_of(MANIFEST))
    asked = [(path, headers.get("authorization", "")) for path, headers in seen if path.startswith("/token")]
    encoded = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
    assert [basic for _, basic in asked] == [f"Basic {encoded}" if login else ""] * 2
    assert {path for path, _ in asked} == {asked[0][0]}
    assert parse_qs(asked[0][0].partition("?")[2]) == {"a": ["b"], "service": ["a registry"], "scope": [scope]}
    assert {headers.get("authorization") for path, headers in seen if path == TAG} == {None, f"Bearer {TOKEN}"}


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://x/", "http://x/$(id)", "-K/etc/passwd", ""])
def test_a_token_is_asked_for_nowhere_else(make_agent: Any, here: Here, realm: str) -> None:
    answer = (401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x",scope="y"'}, b"")
    with served({TAG: answer}) as (address, seen), pytest.raises(Unanswered):
        ask(mirrored(make_agent, address), here, facts())
    assert [path for path, _ in seen] == [TAG]


def test_no_token_is_asked_for_in_the_clear_for_a_registry_with_tls(make_agent: Any, here: Here) -> None:
    fake = here.folder / "bin"
    fake.mkdir()
    challenge = 'www-authenticate: Bearer realm="http://elsewhere/token",service="x",scope="y"'
    (fake / "curl").write_text(f"#!/bin/sh\necho '{challenge}' >headers\necho \"$*\" >>{fake}/calls\nprintf 401\n")
    (fake / "curl").chmod(0o755)
    here.path = f"{fake}:{here.path}"
    with pytest.raises(Unanswered, match=r"^https://registry.lan:5000: HTTP 401$"):
        ask(make_agent(runtime={"image": f"registry.lan:5000/{NAME}:1"}), here, facts())
    (call,) = (fake / "calls").read_text().splitlines()
    assert call.endswith(f" https://registry.lan:5000/v2/{NAME}/manifests/1")
    assert "--proto =https " in call


INDEX = json.dumps(
    {"manifests": [{"digest": digest_of(MANIFEST), "platform": {"os": "linux", "architecture": "arm64"}}]}
)
NESTED = b'{"manifests": [{"platform": {"os": "linux", "architecture": "amd64"}, "digest": "%s"}]}'
INNER = NESTED % digest_of(CONFIG).encode()
OUTER = NESTED % digest_of(INNER).encode()
AT = f"/v2/{NAME}/manifests/"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({TAG: (200, {}, b"<html>")}, "not a JSON object"),
        ({TAG: (200, {}, b"[" * 100_000)}, "not a JSON object"),
        ({TAG: (200, {}, b"\xff\x00")}, "not a JSON object"),
        ({TAG: (200, {}, b"")}, "not a JSON object"),
        ({TAG: (200, {}, b'{"schemaVersion": 1, "fsLayers": []}')}, "not a manifest"),
        ({TAG: (200, {}, b'{"config": {"digest": "sha256:../../x"}}')}, "not a manifest"),
        ({TAG: (200, {}, INDEX.encode())}, "none for linux/amd64"),
        ({TAG: (200, {}, OUTER), AT + digest_of(INNER): (200, {}, INNER), AT + digest_of(CONFIG): (200, {}, CONFIG)},
         "not a manifest"),
        ({TAG: (200, {}, MANIFEST), BLOB: (200, {}, CONFIG + b" ")}, "is something else"),
        ({TAG: (200, {}, MANIFEST), BLOB: (200, {"Content-Length": "900"}, CONFIG)}, ": curl: "),
        ({TAG: (200, {}, b" " * (1 << 20) + b"{}")}, "1 MiB|file size"),
        ({TAG: (200, {"Content-Length": str(1 << 40)}, b"{}")}, "1 MiB|file size"),
        ({TAG: (302, {"Location": TAG}, b"")}, "redirects"),
        ({TAG: (302, {"Location": "file:///etc/passwd"}, b"")}, "file.*not supported|Protocol"),
        ({TAG: (500, {}, b"\x1b[2J")}, ": HTTP 500$"),
    ],
)  # fmt: skip
def test_what_is_odd_is_no_answer(make_agent: Any, here: Here, answers: dict[str, Any], why: str) -> None:
    with served(answers) as (address, _), pytest.raises(Unanswered, match=why) as caught:
        ask(make_agent(runtime={"image": f"{address}/{NAME}"}), here, facts(files=insecure(address)))
    assert caught.value.message.isprintable() and len(caught.value.message) <= 200


def test_a_guest_without_curl_says_so(make_agent: Any, here: Here) -> None:
    few = here.folder / "bin"
    few.mkdir()
    (few / "dirname").symlink_to("/usr/bin/dirname")
    (few / "sh").symlink_to("/bin/sh")
    here.path = str(few)
    with pytest.raises(Unanswered, match="curl is not installed yet"):
        ask(make_agent(), here, facts())


@pytest.mark.parametrize("told", ["", "body:b64=%%%\n", "error=\n", "error=\x1b[2J\n", "nothing\n"])
def test_a_guest_that_tells_nothing_is_no_answer(make_agent: Any, told: str) -> None:
    class Odd:
        def run(self, *_: Any, **__: Any) -> CommandResult:
            return CommandResult(0, told, "")

    with pytest.raises(Unanswered):
        ask(make_agent(), Odd(), facts())
