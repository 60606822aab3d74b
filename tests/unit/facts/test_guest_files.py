"""The scripts for the agent's files, run for real: what is seen is what is there, and what is planned is what comes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guest_bundle import lay_out, run

from proxhermes.facts import tree
from proxhermes.facts.guest import GuestFacts, parse
from proxhermes.facts.tree import Seen
from proxhermes.plan.entries import ABSENT, Entry, bundle, sha256
from proxhermes.plan.migration import surplus
from proxhermes.transport.scripts import script

UID = 10000 if os.geteuid() == 0 else os.getuid()
FACTS = """set -eu; . ./agent.sh; . ./guest-common.sh; . ./guest-files-facts.sh
mkdir -p scratch; files_facts; files_contents scratch"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@dataclass
class World:
    """A guest with the agent's home in it, and a bundle."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "project" / "data"

    def put(self, path: str, content: str = "", mode: int = 0o640) -> Path:
        """A file of the agent's."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
        for each in (file, *file.parents[: len(file.relative_to(self.home).parts) - 1]):
            os.chown(each, UID, UID)
        return file

    def apply(self, *entries: Entry, **tools: str) -> subprocess.CompletedProcess[str]:
        files = self._bundle(**tools)
        for name, content in bundle(entries).items():
            (files / name).write_bytes(content)
        return run(files, "guest-files.sh")

    def facts(self, *labels: str) -> GuestFacts:
        files = self._bundle()
        (files / tree.LIST).write_bytes(tree.render(labels))
        (files / "facts.sh").write_text(FACTS)
        done = run(files, "facts.sh")
        assert done.returncode == 0, done.stderr
        return parse(done.stdout)

    def look(self, *labels: str) -> dict[str, Seen]:
        return dict(self.facts(*labels).tree)

    def _bundle(self, **tools: str) -> Path:
        if os.geteuid() != 0:  # nobody else's rights to take
            tools["setpriv"] = 'while [ "$1" != --clear-groups ]; do shift; done; shift; exec "$@"'
        return lay_out(self.root / "bundle", self.root / "project", uid=UID, **tools)


@pytest.fixture
def world() -> Iterator[World]:
    """Where somebody other than root gets to, too, unlike in pytest's own folders."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder)
        root.chmod(0o755)
        world = World(root)
        world.home.mkdir(parents=True)
        os.chown(world.home, UID, UID)
        yield world


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_folders_and_files_come_with_their_modes_whatever_the_umask(world: World) -> None:
    before = os.umask(0o077)
    try:
        done = world.apply(
            Entry(f"{world.home}/cron", "folder", 0o750),
            Entry(f"{world.home}/a/b/c", "folder", 0o750),
            Entry(f"{world.home}/a/b/c/notes.md", "file", 0o640, "agent", b"text\n", ABSENT),
            Entry(f"{world.home}/.env", "file", 0o600, "agent", b"A=b\n", ABSENT),
            Entry(f"{world.root}/project/compose.yaml", "file", 0o644, "root", b"x: 1\n"),
        )
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    modes = {name: mode(world.home / name) for name in ("cron", "a", "a/b", "a/b/c", "a/b/c/notes.md", ".env")}
    assert modes == {"cron": 0o750, "a": 0o750, "a/b": 0o750, "a/b/c": 0o750, "a/b/c/notes.md": 0o640, ".env": 0o600}
    assert {(world.home / name).stat().st_uid for name in modes} == {UID}
    assert (world.root / "project" / "compose.yaml").stat().st_uid == os.geteuid()
    assert f"changed: {world.home}/a/b/c/notes.md" in done.stdout.splitlines()
    assert list(world.root.rglob(".proxhermes.*")) == []


def test_binary_and_large_contents_arrive_as_they_are(world: World) -> None:
    content = bytes(range(256)) * 4096
    done = world.apply(Entry(f"{world.home}/x.bin", "file", 0o640, "agent", content, ABSENT))
    assert done.returncode == 0, done.stderr
    assert (world.home / "x.bin").read_bytes() == content
    assert world.look("home:x.bin")["home:x.bin"].sha256 == sha256(content)


@pytest.mark.parametrize("expected", [ABSENT, digest("older\n")])
def test_a_file_that_is_not_what_was_read_is_left_as_it_is(world: World, expected: str) -> None:
    file = world.put("config.yaml", "newer\n")
    done = world.apply(Entry(str(file), "file", 0o640, "agent", b"ours\n", expected))
    assert (done.returncode, f"stale: {file}" in done.stdout) == (75, True), done.stderr
    assert file.read_text() == "newer\n"
    assert list(world.home.glob(".proxhermes.*")) == []


def test_a_file_that_went_away_is_not_made_anew(world: World) -> None:
    done = world.apply(Entry(f"{world.home}/x", "file", 0o640, "agent", b"ours\n", digest("older")))
    assert done.returncode == 75 and not (world.home / "x").exists()


def test_a_link_is_followed_to_where_it_leads(world: World) -> None:
    target = world.put("elsewhere/real.yaml", "a: 1\n")
    (world.home / "config.yaml").symlink_to(target)
    seen = world.look("home:config.yaml")["home:config.yaml"]
    assert (seen.kind, seen.sha256, seen.writable) == ("regular file", digest("a: 1\n"), True)
    done = world.apply(Entry(f"{world.home}/config.yaml", "file", 0o640, "agent", b"a: 2\n", digest("a: 1\n")))
    assert done.returncode == 0, done.stderr
    assert (world.home / "config.yaml").is_symlink() and target.read_text() == "a: 2\n"


def test_through_a_link_that_leads_nowhere_yet_a_file_is_made(world: World) -> None:
    (world.home / "SOUL.md").symlink_to(world.home / "there.md")
    assert "home:SOUL.md" not in world.look("home:SOUL.md")
    done = world.apply(Entry(f"{world.home}/SOUL.md", "file", 0o640, "agent", b"me\n", ABSENT))
    assert done.returncode == 0 and (world.home / "there.md").read_text() == "me\n", done.stderr
    (world.home / "USER.md").symlink_to("/nowhere/at/all")
    assert world.look("home:USER.md")["home:USER.md"].kind == "symbolic link that leads nowhere"


@as_root
def test_a_link_leads_to_nothing_that_the_agent_may_not_read_or_write(world: World) -> None:
    secret = world.root / "shadow"
    secret.write_text("root:secret\n")
    secret.chmod(0o600)
    (world.home / "config.yaml").symlink_to(secret)
    (world.home / "SOUL.md").symlink_to("/etc/passwd")
    facts = world.facts("home:config.yaml", "home:SOUL.md")
    assert facts.tree["home:config.yaml"].sha256 is None and facts.content("config") is None
    assert "cannot be read" in facts.tree["home:config.yaml"].kind
    assert not facts.tree["home:SOUL.md"].writable
    for name in ("config.yaml", "SOUL.md"):
        done = world.apply(Entry(f"{world.home}/{name}", "file", 0o640, "agent", b"mine\n"))
        assert done.returncode == 1 and f"failed: {world.home}/{name}" in done.stderr
    assert secret.read_text() == "root:secret\n"


@as_root
def test_what_root_left_in_the_home_is_read_and_given_to_the_agent(world: World) -> None:
    file = world.put(".env", "A=1\n", 0o600)
    os.chown(file, 0, 0)
    assert world.facts("home:.env").content("env") == b"A=1\n"
    done = world.apply(Entry(str(file), "mode", 0o600))
    assert done.returncode == 0 and (file.stat().st_uid, file.stat().st_gid) == (UID, UID), done.stderr
    assert f"changed: {file}: owner {UID}:{UID}" in done.stdout


@as_root
def test_root_gives_away_nothing_that_a_link_leads_to(world: World) -> None:
    theirs = world.root / "theirs"
    theirs.mkdir()
    (theirs / "cron").mkdir()
    (world.home / "sub").symlink_to(theirs)
    done = world.apply(Entry(f"{world.home}/sub/cron", "folder", 0o750))
    assert done.returncode == 1 and "a link leads to it" in done.stderr
    assert (theirs / "cron").stat().st_uid == 0


@as_root
def test_a_working_directory_that_was_there_is_not_taken(world: World) -> None:
    theirs = world.root / "theirs"
    theirs.mkdir(mode=0o700)
    done = world.apply(Entry(str(theirs), "workplace", 0o750))
    assert done.returncode == 1 and "hermes.working_directory" in done.stderr
    hidden = theirs / "work"  # the agent does not see that it is there
    hidden.mkdir(mode=0o700)
    assert world.apply(Entry(str(hidden), "workplace", 0o750)).returncode == 1
    assert {(each.stat().st_uid, mode(each)) for each in (theirs, hidden)} == {(0, 0o700)}
    theirs.chmod(0o777)
    assert world.apply(Entry(str(theirs), "workplace", 0o750)).returncode == 0
    assert (theirs.stat().st_uid, mode(theirs)) == (0, 0o777)
    theirs.chmod(0o755)
    done = world.apply(Entry(f"{theirs}/new/work", "workplace", 0o750))
    made = theirs / "new" / "work"
    assert (done.returncode, made.stat().st_uid, made.stat().st_gid, mode(made)) == (0, UID, UID, 0o750), done.stderr


def test_a_wrong_mode_is_put_right_and_the_content_left_alone(world: World) -> None:
    file, folder = world.put(".env", "A=1\n", 0o644), world.put("logs/x", "").parent
    folder.chmod(0o777)
    done = world.apply(Entry(str(file), "mode", 0o600), Entry(str(folder), "mode", 0o750))
    assert done.returncode == 0, done.stderr
    assert (mode(file), mode(folder), file.read_text()) == (0o600, 0o750, "A=1\n")
    again = world.apply(Entry(str(file), "mode", 0o600), Entry(str(folder), "folder", 0o750))
    assert (again.returncode, again.stdout) == (0, "")


def test_what_is_no_longer_wanted_goes_if_it_is_still_ours(world: World) -> None:
    ours, theirs = world.put("notes/ours.md", "ours\n"), world.put("notes/theirs.md", "changed\n")
    done = world.apply(Entry(str(ours), "gone", expected=digest("ours\n")), Entry(str(ours.parent), "emptied"))
    assert done.returncode == 0 and not ours.exists() and theirs.exists(), done.stderr
    assert world.apply(Entry(str(theirs), "gone", expected=digest("ours\n"))).returncode == 75
    assert theirs.read_text() == "changed\n"
    theirs.unlink()
    assert world.apply(Entry(str(ours.parent), "emptied")).returncode == 0
    assert not ours.parent.exists()


def test_what_a_killed_run_left_is_seen_and_goes(world: World) -> None:
    left = world.put(".proxhermes.Ab12Cd", "half")
    seen = world.look("home:.env")
    assert seen["home:.proxhermes.Ab12Cd"].sha256 == digest("half")
    assert world.apply(Entry(str(left), "gone", expected=digest("half"))).returncode == 0
    assert not left.exists()


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a command in the place of a real one, where the agent finds it, too."""
    folder = world.root / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, text: str) -> Path:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        return folder / name

    return make


def test_a_run_killed_while_it_writes_has_changed_nothing(world: World, tool: Callable[[str, str], Path]) -> None:
    file = world.put("config.yaml", "before\n")
    killer = tool("sync", "#!/bin/sh\nkill -KILL $PPID\n")
    entry = Entry(str(file), "file", 0o640, "agent", b"after\n", digest("before\n"))
    done = world.apply(entry)
    assert done.returncode != 0 and file.read_text() == "before\n"
    killer.unlink()
    (left,) = world.home.glob(".proxhermes.*")
    assert f"home:{left.name}" in world.look("home:config.yaml")
    assert world.apply(entry).returncode == 0 and file.read_text() == "after\n"


SOMEBODY = """#!/usr/bin/python3
# mv, in whose very moment somebody else writes; with --exchange as newer versions have it.
import ctypes, os, sys
options, (source, target) = sys.argv[1:-2], sys.argv[-2:]
if target.endswith("config.yaml") and not os.path.exists("{mark}"):
    open("{mark}", "w").close()
    with open(target + ".theirs", "w") as file:
        file.write("theirs\\n")
    os.rename(target + ".theirs", target)
if "--exchange" not in options:
    os.execv("/bin/mv", ["mv", *options, source, target])
library = ctypes.CDLL(None, use_errno=True)
sys.exit(library.renameat2(-100, source.encode(), -100, target.encode(), 2) != 0)
"""


@pytest.mark.parametrize("before", ["before\n", None])
def test_what_somebody_writes_in_the_very_moment_is_not_lost(
    world: World, tool: Callable[[str, str], Path], before: str | None
) -> None:
    file = world.home / "config.yaml"
    expected = ABSENT
    if before is not None:
        expected = digest(world.put("config.yaml", before).read_text())
    (world.root / "marks").mkdir()
    (world.root / "marks").chmod(0o777)
    tool("mv", SOMEBODY.replace("{mark}", f"{world.root}/marks/wrote"))
    done = world.apply(Entry(str(file), "file", 0o640, "agent", b"ours\n", expected))
    assert (done.returncode, file.read_text()) == (75, "theirs\n"), done.stderr
    assert list(world.home.glob(".proxhermes.*")) == []
    again = world.apply(Entry(str(file), "file", 0o640, "agent", b"ours\n", digest("theirs\n")))
    assert (again.returncode, file.read_text()) == (0, "ours\n")


def test_where_another_runtime_has_the_agent_its_files_are_seen_there(world: World) -> None:
    old = world.root / "old"
    (old / "work").mkdir(parents=True)
    (old / "SOUL.md").write_text("me")
    (old / "work" / "a=b.md").write_text("doc")
    remembered = f"type=native\nhome={old}\nuser_home={old}/home\nworkspace={old}/work\nengine=\n"
    (world.root / "project" / ".proxhermes-runtime").write_text(remembered)
    seen = world.look("home:SOUL.md", "workspace:a=b.md", "home:.env", "home:")
    assert {label: each.sha256 for label, each in seen.items()} == {
        "home:SOUL.md": digest("me"),
        "workspace:a=b.md": digest("doc"),
        "home:": None,
    }


def test_what_was_installed_last_is_looked_at_too(world: World) -> None:
    world.put("notes.md", "x")
    world.put(".proxhermes/files", f"{digest('x')}  home:notes.md\nnonsense\n")
    facts = world.facts()
    assert set(facts.tree) == {"home:notes.md"}
    assert facts.content("last-files") == (world.home / ".proxhermes" / "files").read_bytes()
    assert facts.content("last-env") is None


def test_what_the_agent_wrote_there_tells_of_nothing_but_files(world: World) -> None:
    for name in ("a\nb=c", "\nos.id", "\n=1 2"):  # as long as the names of what a killed run left
        world.put(f".proxhermes.{name:x<6}", "x")
    labels = ("--help", "nowhere", "", "home:", "home:a=b:b64", "home:\v\r\x1cos.id=evil", "home:\udcff")
    world.put("a=b:b64", "x")
    written = "".join(f"{digest('x')}  {label}\n" for label in labels)
    world.put(".proxhermes/files").write_bytes(written.encode(errors="surrogateescape"))
    facts = world.facts()
    assert set(facts.tree) == {"home:", "home:a=b:b64"}
    assert facts.os_id == ""


def test_a_memory_that_is_a_pipe_keeps_nobody_waiting(world: World) -> None:
    world.put(".proxhermes/x")
    os.mkfifo(world.home / ".proxhermes" / "files")
    assert world.facts("home:.env").tree == {}


def test_what_is_no_file_of_a_usual_kind_is_told_and_not_read(world: World) -> None:
    os.mkfifo(world.home / "SOUL.md")
    os.mkfifo(world.home / ".env")
    with (world.home / "big").open("wb") as file:
        file.truncate(1 << 40)
    with (world.home / "config.yaml").open("wb") as file:
        file.truncate(1 << 21)
    facts = world.facts("home:SOUL.md", "home:big", "home:config.yaml")
    kinds = {label: (seen.kind, seen.sha256 is None) for label, seen in facts.tree.items()}
    assert kinds["home:SOUL.md"] == ("fifo", True)
    assert kinds["home:big"] == ("file of more than 64 MiB", True)
    assert [facts.files[name].kind for name in ("env", "config")] == ["fifo", "file of more than 1 MiB"]


def test_the_homes_of_profiles_are_told_with_those_of_the_inventory_and_those_that_were_given_something(
    world: World,
) -> None:
    """What they were given last is looked at by the names that it has below the agent's home."""
    world.put("profiles/work/.proxhermes/files", f"{digest('x')}  home:SOUL.md\n{digest('y')}  workspace:a/b.md\n")
    world.put("profiles/work/SOUL.md", "x")
    world.put("profiles/work/workspace/a/b.md", "y")
    world.put("profiles/work/.env", "A=b\n", 0o600)
    world.put("profiles/of its own/SOUL.md", "no profile of ours")
    world.put("profiles/own/SOUL.md", "no profile of ours")
    found = world.facts("home:profiles/new/SOUL.md")
    assert found.profiles == ("work",)
    assert found.tree["home:profiles/work/SOUL.md"].sha256 == digest("x")
    assert found.tree["home:profiles/work/workspace/a/b.md"].sha256 == digest("y")
    assert found.content("env@work") == b"A=b\n" and found.content("env") is None
    assert found.content("last-files@work") is not None


@as_root
def test_a_link_in_the_place_of_a_profile_leads_no_further_than_the_agents_rights(world: World) -> None:
    secret = world.root / "secret"
    (secret / ".proxhermes").mkdir(parents=True)
    (secret / ".env").write_text("A=b\n")
    secret.chmod(0o700)
    (world.home / "profiles").mkdir()
    (world.home / "profiles" / "work").symlink_to(secret)
    found = world.facts()
    assert found.content("env@work") is None


def test_the_copies_of_hermes_own_migration_are_seen(world: World, make_agent: Any) -> None:
    stamps = [f"202611{number:02}T193000Z" for number in range(1, 31)]
    for name in ("config.yaml", ".env"):
        world.put(name, "a: 1\n")
        for stamp in stamps:
            world.put(f"{name}.bak-{stamp}", stamp)
    for number in range(120):
        world.put(f"config.yaml.bak-20261201T193000Z.{number}", "x")
    world.put("config.yaml.bak-mine", "x")
    world.put("config.yaml.bak-20260103T000000Z\ntree.home:SOUL.md=0 0 644 - w regular file", "x")
    world.put("config.yaml.bak-20260101T000000Z", "x" * 1048577)
    (world.home / "config.yaml.bak-20260102T000000Z").symlink_to("/etc/shadow")
    found = world.facts("home:config.yaml", "home:.env").tree
    seen = sorted(label for label in found if ".bak-" in label)
    assert len([label for label in seen if label.startswith("home:config.yaml.")]) == 150
    assert [label for label in seen if label.startswith("home:.env.")] == [f"home:.env.bak-{each}" for each in stamps]
    assert {f"home:config.yaml.bak-{each}" for each in stamps} <= set(seen)
    assert not {"home:config.yaml.bak-mine", "home:config.yaml.bak-20260102T000000Z"} & set(seen)
    assert found[f"home:.env.bak-{stamps[0]}"].sha256 == sha256(stamps[0].encode())
    assert "home:SOUL.md" not in found
    gone = {f"home:{entry.path.rpartition('/')[2]}" for entry in surplus(make_agent(), found).entries}
    left = [f"home:config.yaml.bak-20261201T193000Z.{number}" for number in range(115, 120)]
    assert [label for label in seen if label not in gone] == [f"home:.env.bak-{each}" for each in stamps[-5:]] + left


def test_of_more_copies_than_are_looked_at_the_newest_are(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"config.yaml.bak-20261201T193000Z.{number}").touch()
    text = script("guest-files-look.sh").decode().replace("most_copies=1000", "most_copies=3")
    words = ("sh", "-c", text, "look", str(tmp_path), str(tmp_path), str(tmp_path))
    done = subprocess.run(words, input="home:config.yaml\n", capture_output=True, text=True, check=True, timeout=30)
    ends = [line.partition("=")[0].rpartition(".")[2] for line in done.stdout.splitlines()]
    assert ends == ["11", "10", "9"]
