"""The guest's scripts, run for real on folders that an agent has prepared, or that a killed run has left."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from guest_bundle import lay_out, run

from proxhermes.facts.guest import GuestFacts, Place, parse
from proxhermes.upstream import Code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "data"
    folder.mkdir(parents=True)
    return folder


def facts(tmp_path: Path, data: Path, **tools: str) -> GuestFacts:
    bundle = lay_out(tmp_path / "bundle", data.parent, **({"docker": "exit 1"} | tools))
    done = run(bundle, "guest-facts.sh")
    assert done.returncode == 0 and done.stdout.endswith("facts=complete\n"), done.stderr
    return parse(done.stdout)


def test_files_are_read_as_they_are(tmp_path: Path, data: Path) -> None:
    (data / "config.yaml").write_text("a: 1\n")
    (data / ".env").touch(mode=0o600)
    seen = facts(tmp_path, data)
    assert (seen.content("config"), seen.content("env"), seen.content("state")) == (b"a: 1\n", b"", None)
    assert seen.files["env"].mode == 0o600 and seen.files["data"].kind == "directory"
    assert [path.name for path in (tmp_path / "bundle").iterdir() if path.is_dir()] == []


def test_what_is_no_plain_file_of_a_usual_size_is_told_and_not_read(tmp_path: Path, data: Path) -> None:
    (data / "config.yaml").symlink_to("/etc/passwd")
    os.mkfifo(data / ".env")
    with (data / "gateway_state.json").open("wb") as file:
        file.truncate(1 << 40)
    seen = facts(tmp_path, data)
    assert [seen.content(name) for name in ("config", "env", "state")] == [None, None, None]
    assert [seen.files[name].kind for name in ("config", "env", "state")] == [
        "symbolic link",
        "fifo",
        "file of more than 1 MiB",
    ]


def test_a_file_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, data: Path) -> None:
    """Or the plan would write a new one over it."""
    (data / "config.yaml").write_text("a: 1\n")
    seen = facts(tmp_path, data, dd="echo 'I/O error' >&2; exit 1")
    assert seen.files["config"].kind == "file that cannot be read" and seen.content("config") is None


def hermes(tmp_path: Path, data: Path, uid: int, **tools: str) -> subprocess.CompletedProcess[str]:
    bundle = lay_out(tmp_path / "bundle", data.parent, uid=uid, **({"docker": "exit 1"} | tools))
    return run(bundle, "guest-hermes.sh", "none", "1")


def test_a_home_that_changes_hands_does_so_last_of_all(tmp_path: Path, data: Path) -> None:
    """By its owner a run after one that was killed sees what is left to do."""
    (data / "deep").mkdir()
    (data / "deep" / "file").touch()
    chown = f'shift 2; for each; do echo "$PWD/${{each#./}}" >>{tmp_path}/given; done'
    done = hermes(tmp_path, data, os.getuid() + 1, chown=chown)
    assert done.returncode == 0, done.stderr
    given = (tmp_path / "given").read_text().split()
    assert given[-1] == str(data) and {str(data / "deep"), str(data / "deep" / "file")} < set(given)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give things away")
@pytest.mark.parametrize("before", [(1500, 1500), (10000, 1500), (1500, 10000)])
def test_what_the_agent_made_in_its_mounts_changes_hands_and_nothing_else(
    tmp_path: Path, data: Path, before: tuple[int, int]
) -> None:
    mount = tmp_path / "mount"
    owners = {"mine": before, "theirs": (2000, before[1]), "shared": (before[0], 3000), "root": (0, 0)}
    for name, ids in owners.items():
        (mount / name).mkdir(parents=True)
        (mount / name / "file").touch()
        for path in (mount / name, mount / name / "file"):
            os.chown(path, *ids)
    os.chown(data, *before)
    bundle = lay_out(tmp_path / "bundle", data.parent, docker="exit 1")
    with (bundle / "agent.sh").open("a") as names:
        names.write(f"writable='{mount}\n/nowhere'\n")
    done = run(bundle, "guest-hermes.sh", "none", "1")
    assert done.returncode == 0, done.stderr
    seen = {name: ((mount / name / "file").stat().st_uid, (mount / name / "file").stat().st_gid) for name in owners}
    assert seen == {**owners, "mine": (10000, 10000), "shared": (10000, 3000)}
    assert (data.stat().st_uid, data.stat().st_gid, mount.stat().st_uid) == (10000, 10000, 0)


@pytest.mark.parametrize("up", [True, False])
def test_a_version_is_said_to_be_up_only_once_its_gateway_was_seen(tmp_path: Path, data: Path, up: bool) -> None:
    rights = {"setpriv": 'while [ "$1" != --clear-groups ]; do shift; done; shift; exec "$@"'}
    bundle = lay_out(tmp_path / "bundle", data.parent, uid=os.getuid(), **rights)
    steps = ("prepare", "stop", "files", "start", "up")
    (bundle / "runtime.sh").write_text("".join(f"rt_{step}() {{ echo {step}; }}\n" for step in steps))
    (bundle / "guest-wait.sh").write_text(f"echo wait; exit {0 if up else 1}\n")
    done = run(bundle, "guest-hermes.sh", "up", "1")
    assert done.stdout.split() == ["prepare", "files", "start", "wait", *(["up"] if up else [])], done.stderr
    assert (data.parent / ".proxhermes-pending").exists() is not up


def test_a_gateway_at_work_on_its_databases_is_waited_for_and_not_started_again(tmp_path: Path, data: Path) -> None:
    rights = {"setpriv": 'while [ "$1" != --clear-groups ]; do shift; done; shift; exec "$@"'}
    bundle = lay_out(tmp_path / "bundle", data.parent, uid=os.getuid(), **rights)
    pending = data.parent / ".proxhermes-pending"
    steps = ("prepare", "stop", "files", "start", "up")
    (bundle / "runtime.sh").write_text("".join(f"rt_{step}() {{ echo {step}; }}\n" for step in steps))
    (bundle / "guest-wait.sh").write_text("echo wait; exit 76\n")
    assert run(bundle, "guest-hermes.sh", "up", "1").returncode == 76
    assert run(bundle, "guest-hermes.sh", "none", "1").returncode == 76
    assert pending.read_text() == "wait\n"
    (bundle / "guest-wait.sh").write_text("echo wait\n")
    done = run(bundle, "guest-hermes.sh", "none", "1")
    assert done.stdout.split() == ["files", "wait", "up"], done.stderr
    assert not pending.exists()


# A change of the runtime: what ends, and what moves.


def moving(
    tmp_path: Path, data: Path, moves: list[tuple[Path, Path]], **tools: str
) -> subprocess.CompletedProcess[str]:
    """Run it for an agent whose folders move; chown and docker are not the real ones."""
    bundle = tmp_path / "bundle"
    bundle.mkdir(mode=0o700, exist_ok=True)
    (bundle / "moves").write_text("".join(f"{old}\t{new}\n" for old, new in moves))
    (bundle / "runtime").write_text(f"type=docker\nhome={data}\n")
    return hermes(tmp_path, data, os.getuid(), **tools)


def test_folders_move_with_all_that_is_in_them_and_a_second_run_finds_them_moved(tmp_path: Path, data: Path) -> None:
    data.rmdir()
    old = tmp_path / "state" / ".hermes"
    (old / "skills").mkdir(parents=True)
    (old / "SOUL.md").write_text("me\n")
    (tmp_path / "state" / "home").mkdir()
    (tmp_path / "state" / "home" / ".bashrc").touch()
    moves = [(old, data), (tmp_path / "state" / "home", data / "home")]
    for said in (f"changed: {old} -> {data}: moved", ""):
        done = moving(tmp_path, data, moves)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout and ("moved" in done.stdout) is bool(said)
    assert (data / "SOUL.md").read_text() == "me\n"
    assert (data / "home" / ".bashrc").exists() and (data / "skills").is_dir()
    assert not old.exists()
    assert (data.parent / ".proxhermes-runtime").read_text() == f"type=docker\nhome={data}\n"


@pytest.mark.parametrize("killed", ["before", "copying", "copied", "removing"])
def test_a_move_to_another_file_system_goes_on_where_it_was_killed(tmp_path: Path, data: Path, killed: str) -> None:
    data.rmdir()
    old, copy = tmp_path / "old", Path(f"{data}.{'copying' if killed == 'copying' else 'moved'}")
    (old / "deep").mkdir(parents=True)
    (old / "deep" / "file").write_text("kept\n")
    if killed != "before":
        (copy / "deep").mkdir(parents=True)
        if killed != "copying":
            (copy / "deep" / "file").write_text("kept\n")
        if killed == "removing":
            (old / "deep" / "file").unlink()
    other = 'case "$*" in "-c %d "*) echo "$3" ;; *) exec /usr/bin/stat "$@" ;; esac'
    done = moving(tmp_path, data, [(old, data)], stat=other)
    assert done.returncode == 0, done.stderr
    assert (data / "deep" / "file").read_text() == "kept\n"
    assert sorted(path.name for path in data.parent.iterdir()) == [".proxhermes-runtime", "data", "finish"]
    assert not old.exists()


def test_the_old_service_ends_before_anything_moves(tmp_path: Path, data: Path) -> None:
    data.rmdir()
    old = tmp_path / "old"
    old.mkdir()
    bundle = tmp_path / "bundle"
    bundle.mkdir(mode=0o700)
    (bundle / "previous-agent.sh").write_text("runtime=native\n")
    (bundle / "previous.sh").write_text(f'rt_retire() {{ test -d {old} && echo "retired: $runtime"; }}\n')
    done = moving(tmp_path, data, [(old, data)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("retired: native") < done.stdout.index("moved")


def test_an_old_service_that_does_not_end_keeps_its_home(tmp_path: Path, data: Path) -> None:
    data.rmdir()
    old = tmp_path / "old"
    old.mkdir()
    bundle = tmp_path / "bundle"
    bundle.mkdir(mode=0o700)
    (bundle / "previous-agent.sh").touch()
    (bundle / "previous.sh").write_text("rt_retire() { false; true; }\n")
    assert moving(tmp_path, data, [(old, data)]).returncode != 0
    assert old.is_dir() and not data.exists()


def test_an_agent_of_another_data_dir_is_seen_and_what_is_none_is_not(tmp_path: Path, data: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    docker = f'case "$*" in *working_dir*) echo {other} ;; *) exit 1 ;; esac'
    assert "docker_folder" not in facts(tmp_path, data, docker=docker).service.facts
    (other / ".proxhermes-runtime").touch()
    assert facts(tmp_path, data, docker=docker).service.facts["docker_folder"] == str(other)
    own = docker.replace(str(other), str(data.parent))
    (data.parent / ".proxhermes-runtime").touch()
    assert "docker_folder" not in facts(tmp_path, data, docker=own).service.facts


def test_places_are_told_apart(tmp_path: Path, data: Path) -> None:
    (data / "home").mkdir()
    (data / "workspace").mkdir()
    (data / "workspace" / "file").touch()
    (data.parent / ".proxhermes-runtime").write_text(
        f"type=native\nhome={tmp_path}/s/.hermes\nworkspace={tmp_path}/s/w\n"
    )
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "w").symlink_to("/nowhere")
    places = facts(tmp_path, data).places
    assert places[f"{data}/home"] is Place.EMPTY
    assert places[f"{data}/workspace"] is Place.FULL
    assert places[f"{tmp_path}/s/.hermes"] is Place.NOTHING
    assert places[f"{tmp_path}/s/w"] is Place.FULL


# Which Hermes is in the image.

DOCKER = """case $1 in
  image) echo sha256:abc ;;
  run) echo asked >>"$0.asked"; echo noise; echo 'Hermes 0.22.2 50'; echo 'Hermes 9.9 9; rm -rf /' ;;
  *) exit 1 ;;
esac"""


def test_an_image_is_asked_once_which_hermes_it_has(tmp_path: Path, data: Path) -> None:
    for _ in range(2):
        assert facts(tmp_path, data, docker=DOCKER).codes == {"sha256:abc": Code("0.22.2", 50)}
    assert (tmp_path / "bundle" / "docker.asked").read_text() == "asked\n"
    assert (data.parent / ".proxhermes-code").read_text() == "sha256:abc 0.22.2 50\n"


def test_another_image_is_asked_again_and_one_that_says_nothing_is_not_known(tmp_path: Path, data: Path) -> None:
    (data.parent / ".proxhermes-code").write_text("sha256:old 0.19.0 33\n")
    silent = DOCKER.replace("echo 'Hermes 0.22.2 50'", ":")
    assert facts(tmp_path, data, docker=silent).codes == {}
    # That of the one before stays known: its container may still run.
    both = {"sha256:old": Code("0.19.0", 33), "sha256:abc": Code("0.22.2", 50)}
    assert [facts(tmp_path, data, docker=DOCKER).codes for _ in range(2)] == [both, both]


def test_what_an_image_says_of_itself_is_told_by_its_engine(tmp_path: Path, data: Path) -> None:
    """What Docker prints of the format that it is given, filled in as its templates are."""
    digests = ["a/b@sha256:" + "1" * 64, "docker.io/a/b@sha256:" + "2" * 64]
    values = {"{{.Id}}": "sha256:aa", "{{json .Architecture}}": '"amd64"', "{{json .RepoDigests}}": json.dumps(digests)}
    filled = " ".join(f"-e 's|{name}|{value}|'" for name, value in values.items())
    docker = f"case \"$*\" in 'image inspect'*) printf '%s\\n' \"$4\" | sed {filled} ;; *) exit 1 ;; esac"
    seen = facts(tmp_path, data, docker=docker)
    assert (seen.image_id, seen.image_architecture, seen.image_digests) == ("sha256:aa", "amd64", tuple(digests))
