"""The agent's code out of an image of a registry that wants a login, and on Pythons that are downloaded."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.images import agents, standalone
from proxhermes.lab.images.cache import Cache
from tests.unit.registry import Between, between, copied, registry, until

pytestmark = pytest.mark.soak

VMID = 181
NAME = "nousresearch/hermes-agent"
TAG = agents.NEWEST.version
PASSWORD = "a-pass-word-of-the-registry"
LOGIN = f"joe:{PASSWORD}"
VERSIONS = "/opt/hermes/versions"


@dataclass
class Hub:
    """A registry that wants a login, in the place of Docker Hub; the way to it; and a server of downloads."""

    address: str
    way: str
    seen: Between
    downloads: str
    archive: Path

    def tag(self, source: str, target: str) -> str:
        """Give an image of the registry another tag; its digest."""
        source, target = (f"{self.address}/{NAME}:{tag}" for tag in (source, target))
        return copied(source, target, source_login=LOGIN, target_login=LOGIN)


@pytest.fixture(scope="module")
def hub(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """On the machine that the node is on, which its guests reach as they reach the world."""
    folder, host, cache = tmp_path_factory.mktemp("hub"), lab.slot.host_address, Cache()
    password_file = folder / "htpasswd"
    password_file.write_bytes(b"joe:" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)) + b"\n")
    served = ThreadingHTTPServer((host, 0), partial(SimpleHTTPRequestHandler, directory=str(cache.root)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    with ExitStack() as stack:
        stack.callback(served.shutdown)
        source = stack.enter_context(registry(folder / "source", storage=cache.registry))
        address = stack.enter_context(registry(folder / "private", password_file, host=host))
        for tag in (TAG, agents.NEWEST.rebuild):
            copied(f"{source}/{NAME}:{tag}", f"{address}/{NAME}:{tag}", target_login=LOGIN)
        way, seen = stack.enter_context(between(address, host))
        yield Hub(address, way, seen, f"http://{host}:{served.server_port}", cache.root / standalone.NAME)


@pytest.fixture(scope="module")
def someone(lab: Any, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with a native agent; the tests follow it through its packages."""
    operator = Operator(lab, tmp_path_factory.mktemp("package"), {"REGISTRY_PASSWORD": PASSWORD})
    yield operator
    write(operator, hub, {"pypi": "hermes-agent==0.19.0"})
    operator.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def write(
    operator: Operator,
    hub: Hub,
    package: dict[str, str] | None,
    *,
    kind: str = "native",
    login: bool = True,
    **more: Any,
) -> None:
    auth = {"username": "joe", "password": {"env": "REGISTRY_PASSWORD"}}
    runtime = {"type": kind} | ({"package": package} if package else {}) | more
    if kind == "native":
        runtime["tools"] = "minimal"
    if login:
        runtime["registry_auth"] = {hub.way: auth, "docker.io": auth}

    def mine(document: dict[str, Any]) -> None:
        agent(document, VMID, messaging={}, runtime=runtime, **WITH_DOCKER)
        plain = ["http://10.1.10.1:5000"] if kind == "persistent" else []  # for what it is mounted into
        document["agents"][VMID]["engine"] = {"registry_mirrors": [f"http://{hub.way}", *plain]}

    operator.write(mine)


guest = partial(Operator.guest, vmid=VMID)


def settled(operator: Operator) -> None:
    """A second run changes nothing, and the agent answers and is what is installed."""
    (again,) = operator.json("up", "--no-verify")["up"]
    assert again["changes"] == []
    operator.run("verify")


def current(operator: Operator) -> str:
    return guest(operator, "readlink /opt/hermes/current").strip().removeprefix("versions/")


def test_without_the_login_the_registry_says_so_and_nothing_is_built(someone: Operator, hub: Hub) -> None:
    write(someone, hub, {"image": f"{NAME}:{TAG}"}, login=False)
    said = someone.run("up", "--no-verify", code=None).stderr
    assert "unauthorized" in said
    assert "runtime.registry_auth" in said
    assert guest(someone, f"ls -A {VERSIONS} 2>/dev/null || true") == ""


def test_a_pull_that_the_container_does_not_live_through_is_gone_on_with(someone: Operator, hub: Hub) -> None:
    """One layer never comes, and when the others are there the container loses its power."""
    write(someone, hub, {"image": f"{NAME}:{TAG}"})
    hub.seen.held = json.loads(manifest(hub))["layers"][-1]["digest"]
    process = someone.start("up", "--no-verify")
    hub.seen.wait()
    count = f"ls {VERSIONS}/.image/layout/blobs/sha256 2>/dev/null | wc -l"
    until(lambda: int(guest(someone, count)) >= 2)
    before = set(guest(someone, f"ls {VERSIONS}/.image/layout/blobs/sha256").split())
    someone.lab.run(["pct", "stop", str(VMID)])
    assert process.wait(timeout=120) != 0
    hub.seen.release()
    fetched = dict(hub.seen.fetched)
    someone.run("up")
    assert current(someone).startswith(f"{TAG}-")
    layers = {each["digest"].removeprefix("sha256:") for each in json.loads(manifest(hub))["layers"]}
    again = {digest for digest in before & layers if hub.seen.fetched[f"sha256:{digest}"] > fetched[f"sha256:{digest}"]}
    assert again == set()
    assert guest(someone, f"ls -A {VERSIONS}").split() == [current(someone)]


def manifest(hub: Hub) -> str:
    words = ["skopeo", "--override-arch", "amd64", "inspect", f"--creds=joe:{PASSWORD}", "--tls-verify=false", "--raw"]
    index = subprocess.run([*words, f"docker://{hub.address}/{NAME}:{TAG}"], capture_output=True, check=True).stdout
    inner = next(each for each in json.loads(index)["manifests"] if each["platform"]["architecture"] == "amd64")
    name = f"docker://{hub.address}/{NAME}@{inner['digest']}"
    return subprocess.run([*words, name], capture_output=True, check=True, text=True).stdout


def test_it_is_what_the_image_says_and_a_second_run_changes_nothing(someone: Operator) -> None:
    settled(someone)
    notes = dict(
        line.split("=", 1) for line in guest(someone, "cat /opt/hermes/current/.proxhermes-package").splitlines()
    )
    assert notes["code"] == f"{TAG} 50"
    assert notes["skills"] == "2"
    assert guest(someone, "find /opt/hermes ! -uid 0 -o ! -type l -perm /022").strip() == ""
    assert guest(someone, "find /opt/hermes/current/ -name withdrawn -o -name .lock") == ""
    assert f"Hermes Agent v{TAG}" in guest(someone, "hermes --version")


def test_the_login_is_nowhere_but_in_the_operators_environment(someone: Operator) -> None:
    found = guest(someone, f"grep -rlsF {PASSWORD} /root /opt /var /etc /run /tmp || true")
    assert found == ""
    assert PASSWORD not in someone.logs()


def test_a_tag_that_moves_is_said_and_is_another_version(someone: Operator, hub: Hub) -> None:
    before = current(someone)
    digest = hub.tag(agents.NEWEST.rebuild, TAG)
    planned = someone.run("plan", code=3)
    assert f"{TAG} of docker.io/{NAME} is {digest[:19]} now, not sha256:" in planned.stdout + planned.stderr
    assert current(someone) == before
    someone.run("up", "--no-verify")
    assert current(someone) != before
    assert guest(someone, "readlink /opt/hermes/previous").strip() == f"versions/{before}"
    assert guest(someone, "cat /opt/hermes/current/hermes/docker/build").strip() == agents.NEWEST.rebuild


def test_a_wrong_digest_is_refused_and_the_agent_runs_on(someone: Operator, hub: Hub) -> None:
    pid, before = guest(someone, "systemctl show hermes-agent -P MainPID"), current(someone)
    write(someone, hub, {"image": f"{NAME}@sha256:{'0' * 64}"})
    said = someone.run("bootstrap", code=None).stderr
    assert "manifest unknown" in said
    assert "was left alone" in said
    assert (guest(someone, "systemctl show hermes-agent -P MainPID"), current(someone)) == (pid, before)


def test_a_python_that_does_not_fit_is_refused_before_anything_is_changed(someone: Operator, hub: Hub) -> None:
    package = {"pypi": f"{agents.NEWEST.package}=={agents.NEWEST.release}"}
    write(someone, hub, package, python="3.13")
    said = someone.run("plan", code=None).stderr
    assert "needs Python >=3.14,<3.15, and runtime.python is 3.13" in said
    assert 'runtime.python: "3.14"' in said
    # Nothing is there by that name, but the names are those that uv's mirror has, and the reason is said.
    write(someone, hub, package, python_mirror=hub.downloads)
    said = someone.run("bootstrap", code=None).stderr
    assert f"Python could not be downloaded from {hub.downloads}/2026" in said
    assert "runtime.python_mirror" in said


@pytest.mark.parametrize("kind", ["native", "persistent"])
def test_on_a_python_that_is_downloaded(someone: Operator, hub: Hub, kind: str) -> None:
    archive = {
        "url": f"{hub.downloads}/{standalone.NAME}",
        "sha256": hashlib.sha256(hub.archive.read_bytes()).hexdigest(),
    }
    package = {"pypi": f"{agents.NEWEST.package}=={agents.NEWEST.release}"}
    write(someone, hub, package, kind=kind, python_archive=archive, extras=["all", "messaging"])
    someone.run("up", "--no-verify")
    (again,) = someone.json("up", "--no-verify")["up"]
    assert again["changes"] == []
    assert (
        guest(someone, "/opt/hermes/current/bin/python -c 'import sys; print(sys.version_info[:2])'").strip()
        == "(3, 14)"
    )


def test_persistent_with_the_image_and_packages_beside_it(someone: Operator, hub: Hub) -> None:
    write(
        someone, hub, {"image": f"{NAME}:{TAG}"}, kind="persistent", extra_python_packages=["six"], image="ubuntu:24.04"
    )
    someone.run("up", "--no-verify")
    settled(someone)
    guest(someone, "docker exec hermes /opt/hermes/current/bin/python -c 'import six'")


def test_docker_pulls_with_the_login_too(someone: Operator, hub: Hub) -> None:
    guest(someone, f"docker rmi -f {NAME}:{TAG} 2>/dev/null || true")
    write(someone, hub, None, kind="docker", image=f"{NAME}:{TAG}")
    someone.run("up", "--no-verify")
    assert guest(someone, "ls -A /root/.docker 2>/dev/null || true") == ""
