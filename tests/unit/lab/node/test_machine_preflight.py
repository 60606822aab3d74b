"""Missing packages are named, installed, and their services not started on the machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxhermes.lab.node import preflight
from proxhermes.lab.node.process import LabError


class Apt:
    """dpkg-query and apt-get of a machine that has all but some packages."""

    def __init__(self, policy: Path, *missing: str, fails: bool = False) -> None:
        self.policy, self.missing, self.fails = policy, missing, fails
        self.calls: list[list[str]] = []
        self.policy_during: list[bool] = []

    def run(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(argv)
        out = ""
        if argv[0] == "dpkg-query":
            states = {name: "config-files" if name in self.missing else "installed" for name in preflight.PACKAGES}
            out = "".join(f"{name} {state}\n" for name, state in states.items())
        else:
            self.policy_during.append(self.policy.exists())
            if self.fails:
                raise LabError("apt-get: exit 100: no network")
        return subprocess.CompletedProcess(argv, 0, out, "")


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "policy-rc.d"
    monkeypatch.setattr(preflight, "_POLICY", file)
    monkeypatch.setattr(preflight, "RUN_ROOT", tmp_path / "run")
    return file


def test_missing_packages_are_installed_by_name(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(policy, "lxc", "skopeo")
    monkeypatch.setattr(preflight, "run", apt.run)
    said: list[str] = []
    preflight.install_missing(said.append)
    assert said == ["installing Debian packages: lxc skopeo"]
    assert apt.calls[-1] == ["apt-get", "install", "-qy", "--no-install-recommends", "lxc", "skopeo"]
    assert apt.policy_during == [True, True]
    assert not policy.exists()


def test_nothing_is_said_or_done_when_all_is_there(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(policy)
    monkeypatch.setattr(preflight, "run", apt.run)
    said: list[str] = []
    preflight.install_missing(said.append)
    assert said == []
    assert [call[0] for call in apt.calls] == ["dpkg-query"]


def test_a_failed_installation_is_told_and_leaves_no_policy(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "run", Apt(policy, "lxc", fails=True).run)
    with pytest.raises(LabError, match="no network"):
        preflight.install_missing(lambda _: None)
    assert not policy.exists()


def test_somebody_elses_policy_stays_and_a_killed_runs_goes(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "run", Apt(policy, "lxc").run)
    policy.write_text("#!/bin/sh\nexit 0\n")
    preflight.install_missing(lambda _: None)
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    policy.write_text(preflight._POLICY_TEXT)
    monkeypatch.setattr(preflight, "run", Apt(policy).run)
    preflight.install_missing(lambda _: None)
    assert not policy.exists()


def test_a_kernel_without_a_file_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.shutil, "which", lambda _: None)
    with pytest.raises(LabError, match="a kernel with nosuchfs"):
        preflight.require_file_system("nosuchfs")


@pytest.mark.parametrize(
    ("system", "uid", "named", "not_named"),
    [
        ("Linux", 1000, "root", "Debian"),
        ("Darwin", 0, "a Debian machine", "root:"),
        ("Darwin", 501, "; and root:", None),
    ],
)
def test_without_root_or_on_another_system_it_says_what_it_needs(
    system: str, uid: int, named: str, not_named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.platform, "system", lambda: system)
    monkeypatch.setattr(preflight.Path, "exists", lambda path: str(path) == "/etc/debian_version")
    monkeypatch.setattr(preflight.os, "geteuid", lambda: uid)
    monkeypatch.setattr(preflight, "run", lambda *_, **__: pytest.fail("it did something all the same"))
    with pytest.raises(LabError, match="the lab needs ") as caught:
        preflight.check(lambda _: None)
    assert named in str(caught.value)
    assert not_named is None or not_named not in str(caught.value)
