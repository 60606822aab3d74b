"""The guest's way out: its proxy and its mirror, in all that needs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guest_bundle import lay_out
from pydantic import ValidationError

from proxhermes.facts.frame import frame
from proxhermes.facts.guest import File, GuestFacts
from proxhermes.hermes import daemon, environment, persistent, podman, unit
from proxhermes.inventory.guest import Guest
from proxhermes.inventory.models import Engine
from proxhermes.plan import guest_apt
from proxhermes.plan.engine import plan_engine
from proxhermes.transport.scripts import script

PROXY = {"http_proxy": "http://10.1.10.1:3128", "no_proxy": ["10.1.10.22", "*.lan", "10.0.0.0/8", "git.lan"]}
NATIVE = {"type": "native"}
FACTS = GuestFacts(os_id="debian", os_version="13")


def file(text: str) -> File:
    return File(0, 0, 0o644, "regular file", text.encode())


def apt(agent: Any, facts: GuestFacts = FACTS) -> dict[str, bytes]:
    plan = plan_engine(agent, facts)
    return {name: content for name, content in plan.files.items() if name in guest_apt.FILES}


def test_a_guest_that_needs_nothing_of_it_is_left_alone(make_agent: Any) -> None:
    assert apt(make_agent(runtime=NATIVE)) == {}


def test_apt_goes_through_the_proxy_but_to_some_hosts(make_agent: Any) -> None:
    agent = make_agent(guest=PROXY, runtime=NATIVE)
    text = apt(agent)["apt.conf"].decode()
    assert 'Acquire::https::Proxy "http://10.1.10.1:3128";' in text
    assert 'Acquire::http::Proxy::10.1.10.22 "DIRECT";' in text and 'Proxy::git.lan "DIRECT"' in text
    assert "*" not in text.partition("\n")[2] and "10.0.0.0/8" not in text
    there = GuestFacts(os_id="debian", os_version="13", files={"apt_conf": file(text)})
    assert apt(agent, there) == {}
    assert apt(make_agent(runtime=NATIVE), there) == {"apt.conf": b""}


def test_a_mirror_takes_the_place_of_the_distributions_hosts(make_agent: Any) -> None:
    agent = make_agent(guest={"apt_mirror": "http://mirror.lan/debian/"}, runtime=NATIVE)
    assert apt(agent) == {"apt.mirror": b"http://mirror.lan\n"}
    settled = GuestFacts(os_id="debian", os_version="13", apt_mirror="http://mirror.lan")
    assert apt(agent, settled) == {}
    again = GuestFacts(os_id="debian", os_version="13", apt_mirror="http://mirror.lan", apt_distribution=True)
    assert apt(agent, again)  # somebody added a list with a host of the distribution's
    assert apt(make_agent(runtime=NATIVE), settled) == {"apt.mirror": b""}


def test_the_engines_pull_through_the_proxy() -> None:
    guest = Guest.model_validate(PROXY)
    assert daemon.wanted(Engine(), guest)["proxies"] == {
        "http-proxy": "http://10.1.10.1:3128",
        "https-proxy": "http://10.1.10.1:3128",
        "no-proxy": "localhost,127.0.0.1,::1,10.1.10.22,*.lan,10.0.0.0/8,git.lan",
    }
    assert '"https_proxy=http://10.1.10.1:3128"' in podman.containers(Engine(), guest, iptables=False)


def test_what_the_scripts_download_goes_through_it(make_agent: Any) -> None:
    bundle = frame(make_agent(guest=PROXY), "guest-facts.sh")
    assert b"export https_proxy=http://10.1.10.1:3128\n" in bundle["proxy.sh"][0]
    assert "proxy.sh" not in frame(make_agent(), "guest-facts.sh")


@pytest.mark.parametrize(
    ("own", "lines"),
    [
        (
            {},
            {
                "HTTP_PROXY": PROXY["http_proxy"],
                "NO_PROXY": "localhost,127.0.0.1,::1,10.1.10.22,*.lan,10.0.0.0/8,git.lan",
            },
        ),
        ({"NO_PROXY": "x"}, {"HTTP_PROXY": PROXY["http_proxy"], "NO_PROXY": "x"}),
        ({"https_proxy": "http://other:1"}, {"HTTP_PROXY": None, "NO_PROXY": None}),
    ],
)
def test_the_agent_goes_through_it_unless_it_has_its_own(
    make_agent: Any, monkeypatch: pytest.MonkeyPatch, own: dict[str, str], lines: dict[str, str | None]
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk")
    found = environment.environment(make_agent(guest=PROXY, hermes={"environment": own})).lines
    assert {name: found.get(name) for name in lines} == lines


def test_what_installs_something_by_itself_has_it_as_well(make_agent: Any) -> None:
    for render, kind in ((lambda agent: persistent.environment(agent, 8642), "persistent"), (unit.render, "native")):
        agent = make_agent(guest=PROXY, runtime={"type": kind})
        assert "http_proxy=http://10.1.10.1:3128" in render(agent)
        own = make_agent(guest=PROXY, runtime={"type": kind}, hermes={"environment": {"NO_PROXY": "x"}})
        assert "http_proxy" not in render(own)


@pytest.mark.parametrize(
    "written",
    [
        {"no_proxy": ["a"]},
        {"http_proxy": "http://joe:pw@proxy:1"},
        {"http_proxy": "http://p:1", "no_proxy": ["a b"]},
        {"http_proxy": "http://p:1", "no_proxy": ['a";x "b']},
        {"apt_mirror": "http://mirror/&#debian"},
        {"apt_mirror": "ftp://mirror/debian"},
        {"apt_mirror": "http://mirror/a|b"},
    ],
)
def test_what_would_break_a_file_of_the_guests_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Guest.model_validate(written)


def test_no_proxy_may_be_written_as_the_variable_is() -> None:
    assert Guest.model_validate({"http_proxy": "http://p:1", "no_proxy": "a, .b,[::1]"}).no_proxy == (
        "a",
        ".b",
        "[::1]",
    )


LISTS = {
    "sources.list": "deb http://ftp.debian.org/debian bookworm main contrib\n"
    "deb http://security.debian.org bookworm-security main\n",
    "sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.debian.org/debian/\nSuites: trixie\n\n"
    "Types: deb\nURIs: https://deb.debian.org/debian-security\n",
    "sources.list.d/ubuntu.sources": "URIs: http://de.archive.ubuntu.com/ubuntu/\n",
    "sources.list.d/docker.sources": "URIs: https://download.docker.com/linux/debian\n",
}
MIRRORED = {
    "sources.list": "deb http://m.lan:1/debian bookworm main contrib\n"
    "deb http://m.lan:1/debian-security bookworm-security main\n",
    "sources.list.d/debian.sources": "Types: deb\nURIs: http://m.lan:1/debian/\nSuites: trixie\n\n"
    "Types: deb\nURIs: http://m.lan:1/debian-security\n",
    "sources.list.d/ubuntu.sources": "URIs: http://m.lan:1/ubuntu/\n",
    "sources.list.d/docker.sources": "URIs: https://download.docker.com/linux/debian\n",
}


@pytest.fixture
def mirror(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Runs `apt_mirror BASE` on lists of the test's own, and returns them."""
    lists, bundle = tmp_path / "apt", lay_out(tmp_path / "bundle", tmp_path / "project")
    (lists / "sources.list.d").mkdir(parents=True)
    for name, text in LISTS.items():
        (lists / name).write_text(text)

    def run(base: str) -> dict[str, str]:
        names = f"apt_lists={lists} apt_state={tmp_path / 'state'}"
        words = f"set -eu; {names}; . ./guest-common.sh; . ./guest-apt.sh; apt_mirror '{base}'"
        done = subprocess.run(["sh", "-c", words], cwd=bundle, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return {name: (lists / name).read_text() for name in LISTS}

    return run


def test_lists_are_rewritten_and_come_back(mirror: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    assert mirror("http://m.lan:1") == MIRRORED
    assert mirror("http://m.lan:1") == MIRRORED
    other = mirror("http://n.lan")
    assert other == {name: text.replace("m.lan:1", "n.lan") for name, text in MIRRORED.items()}
    changed = tmp_path / "apt/sources.list"
    changed.write_text("# mine\n")
    assert mirror("") == {**LISTS, "sources.list": "# mine\n"}  # what somebody changed since stays


def test_both_kinds_of_script_read_the_proxy_in() -> None:
    assert b"proxy.sh" in script("guest-common.sh")
