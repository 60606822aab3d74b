"""The agent in a plain image that it may change: what is made of each image, what is kept, and what costs the layer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.hermes import persistent
from proxhermes.inventory.models import Agent

VMID = 172
HOME = "/var/lib/hermes/home"
ENTRYPOINT = "/opt/hermes/layer/entrypoint"
IMAGES = ("debian:13", "debian:12", "ubuntu:24.04", "busybox:1.35")
MISSING = "there-is-no-such-package"


@pytest.fixture(scope="module")
def plain(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with a persistent agent that runs, one of whose packages does not exist."""
    someone = Operator(lab, tmp_path_factory.mktemp("persistent"))
    write(someone, extra_packages=[MISSING])
    someone.run("up", timeout=1200)
    yield someone
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def write(operator: Operator, hermes: dict[str, Any] | None = None, **options: Any) -> None:
    runtime = {"type": "persistent", **options}
    given = WITH_DOCKER | {"messaging": {}, "runtime": runtime, "hermes": hermes or {}}
    operator.write(lambda document: agent(document, VMID, **given))


def bootstrap(operator: Operator) -> list[str]:
    """Subjects of what it changed."""
    (result,) = operator.json("bootstrap")["agents"]
    return [change["subject"] for change in result["changes"]]


guest = partial(Operator.guest, vmid=VMID)


def inside(operator: Operator, script: str) -> str:
    """As the agent, in its container."""
    return guest(operator, f"docker exec hermes {ENTRYPOINT} exec sh -c {shlex.quote(script)} 2>&1")


def container(operator: Operator) -> str:
    return guest(operator, "docker inspect -f '{{.Id}} {{.Created}}' hermes").strip()


def started(operator: Operator) -> str:
    return guest(operator, "docker inspect -f '{{.State.StartedAt}}' hermes").strip()


def test_what_cannot_be_provisioned_does_not_keep_the_agent_down(plain: Operator) -> None:
    said = plain.run("verify", "--only", "hermes.layer", "--only", "hermes.answer").stderr
    assert f"Unable to locate package {MISSING}" in said
    assert "answered 'PROOF" in said
    assert "will be tried again" in guest(plain, "docker logs hermes 2>&1")


def test_it_is_provisioned_at_the_next_start_in_the_same_container(plain: Operator) -> None:
    before = container(plain)
    write(plain, extra_packages=["jq"])
    assert bootstrap(plain) == ["layer/environment: agent_packages"]
    assert container(plain) == before
    assert "tools provisioned" in plain.run("verify", "--only", "hermes.layer").stderr
    where = "for name in python pip uv node npm jq hermes; do command -v $name; done"
    found = inside(plain, f"id -un; sudo id -un; {where}; echo $VIRTUAL_ENV").split()
    assert found[:2] == ["hermes", "root"]
    assert found[2:5] == [f"{HOME}/.venv/bin/{name}" for name in ("python", "pip", "uv")]
    assert found[5:] == [
        *("/usr/bin/node", "/usr/local/bin/npm", "/usr/bin/jq"),
        *("/opt/hermes/current/bin/hermes", f"{HOME}/.venv"),
    ]


def test_a_second_run_changes_nothing_and_all_is_well(plain: Operator) -> None:
    verified = plain.run("up").stderr  # which brings the container's notes up to date
    (again,) = plain.json("up", "--no-verify")["up"]
    assert again["changes"] == []
    assert "hermes.answer: asked for PROOF" in verified and "hermes.tool: the agent's tool call wrote" in verified


def test_a_start_provisions_nothing_twice(plain: Operator) -> None:
    marker = "docker exec hermes stat -c %y /var/lib/proxhermes/provisioned"
    before = guest(plain, marker)
    # As it is after another `hermes.uid`: who may be root is not what was provisioned.
    guest(plain, "docker exec hermes sh -c \"echo '#4000 ALL=(ALL:ALL) NOPASSWD:ALL' >/etc/sudoers.d/proxhermes\"")
    guest(plain, "docker restart hermes")
    plain.run("bootstrap")
    assert guest(plain, marker) == before
    assert inside(plain, "sudo id -un").strip() == "root"
    assert guest(plain, "docker logs hermes 2>&1").count("proxhermes: provisioned") == 1


def test_the_code_needs_nothing_of_the_image_and_cannot_be_changed(plain: Operator) -> None:
    ask = "import ssl, sqlite3, sys; print(sys.prefix, open('/proc/self/maps').read())"
    seen = inside(plain, f'/opt/hermes/current/bin/python -c "{ask}"')
    code, maps = seen.split(" ", 1)
    libraries = {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line}
    assert len(libraries) > 5 and all("/opt/hermes/" in library for library in libraries), libraries
    assert "Read-only file system" in inside(plain, "sudo touch /opt/hermes/current/x || true")
    assert code.startswith("/opt/hermes/")


def test_the_agent_s_options_are_read_without_a_new_container(plain: Operator) -> None:
    before, since = container(plain), started(plain)
    write(plain, {"environment": {"COLOUR": "blue"}}, extra_packages=["jq"], extra_args=["-v"], restart="always")
    subjects = bootstrap(plain)
    assert "layer/environment: agent_command" in subjects and "compose.yaml: restart" in subjects
    assert container(plain) == before and started(plain) != since
    assert "gateway run --replace -v" in guest(plain, "docker top hermes")
    assert guest(plain, "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' hermes").strip() == "always"
    assert bootstrap(plain) == []


def test_its_commands_are_on_the_path_and_run_as_the_agent(plain: Operator) -> None:
    assert guest(plain, "hermes config get model.default").strip() == "claude-sonnet"
    assert "managed by proxhermes" in guest(plain, "hermes config set a.b c 2>&1")
    assert "hermes-acp" in guest(plain, "hermes-acp --help")
    assert guest(plain, f"find {HOME} /var/lib/hermes/.hermes ! -uid 10000").strip() == ""


def test_it_is_recreated_on_purpose_once_that_is_confirmed(plain: Operator) -> None:
    before = container(plain)
    inside(plain, "sudo touch /usr/local/bin/mine && touch ~/kept-too")
    assert "there is no terminal" in plain.run("bootstrap", "--recreate", code=2).stderr
    planned = plain.run("plan", "--recreate", code=3)
    assert "recreated, as asked for" in planned.stdout and "sudo npm is lost" in planned.stdout + planned.stderr
    assert container(plain) == before
    plain.run("bootstrap", "--recreate", "--yes")
    assert container(plain) != before
    found = inside(plain, "ls -d ~/kept-too /usr/local/bin/mine; true")
    assert f"{HOME}/kept-too" in found and "cannot access '/usr/local/bin/mine'" in found
    assert bootstrap(plain) == []


def test_another_identity_says_what_is_lost_before_it_is(plain: Operator) -> None:
    before = container(plain)
    inside(plain, "pip install -q tabulate && sudo touch /usr/local/bin/mine && touch ~/kept")
    write(plain, image="ubuntu:24.04", extra_packages=["jq"])
    planned = plain.run("plan", code=3)
    assert "LOST; begins as ubuntu:24.04" in planned.stdout + planned.stderr
    assert "is recreated" in planned.stdout + planned.stderr
    assert container(plain) == before
    plain.run("up", timeout=1200)
    assert container(plain) != before
    assert inside(plain, "cat /etc/os-release").startswith('PRETTY_NAME="Ubuntu 24.04')
    # Ubuntu's Python is another: the environment is a new one, and the old one is not thrown away.
    found = inside(plain, "ls -d ~/kept ~/.venv-3.13 /usr/local/bin/mine; python --version; uv --version; jq --version")
    assert f"{HOME}/kept" in found and f"{HOME}/.venv-3.13" in found and "Python 3.12" in found
    assert "cannot access '/usr/local/bin/mine'" in found
    assert bootstrap(plain) == []


def entrypoint(
    operator: Operator, image: str, before: str = ":", *, command: str, options: str = "", **change: str
) -> str:
    """What the entrypoint does of itself in a new container of `image`, once `before` has been done there."""
    values = {
        "agent_uid": "10000",
        "agent_gid": "10000",
        "agent_allow_root": "no",
        "agent_command": command,
        "agent_code": "/opt/hermes/current",
        "agent_api_port": "8642",
        "agent_packages": "x",
        "agent_workspace": "/state/workspace",
        "agent_cwd": "/state/workspace",
        "HOME": "/state/home",
        "HERMES_HOME": "/state/.hermes",
        **change,
    }
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    provisioned = "mkdir -p /var/lib/proxhermes; echo '1 x' >/var/lib/proxhermes/provisioned"
    script = f"{provisioned}; {before}; exec /layer/entrypoint"
    return guest(
        operator,
        "mkdir -p /root/layer; cp /opt/hermes/layer/entrypoint /root/layer/entrypoint\n"
        f"printf %s {shlex.quote(text)} >/root/layer/environment\n"
        f"docker pull -q {image} >/dev/null\n"
        f"docker run --rm -v /root/layer:/layer:ro -v /opt/hermes:/opt/hermes:ro {options} --entrypoint sh {image} "
        f"-c {shlex.quote(script)} 2>&1",
        check=False,
    )


LOOK = "sh -c 'id -u; id -g; id -un; echo $HOME; pwd; stat -c \"%a %u:%g\" $HOME $HERMES_HOME'"
SEEN = ["10000", "10000", "hermes", "/state/home", "/state/workspace", "750 10000:10000", "750 10000:10000"]


@pytest.mark.parametrize("image", IMAGES)
def test_in_every_image_the_agent_is_who_it_is(plain: Operator, image: str) -> None:
    assert entrypoint(plain, image, command=LOOK).splitlines() == SEEN
    version = entrypoint(plain, image, command="/opt/hermes/current/bin/hermes --version")
    assert version.startswith("Hermes Agent v"), version


@pytest.mark.parametrize("image", IMAGES)
def test_without_setpriv_it_is_su(plain: Operator, image: str) -> None:
    without = "rm -f /bin/setpriv /usr/bin/setpriv"
    assert entrypoint(plain, image, without, command=LOOK).splitlines() == SEEN
    words = shlex.join(["printf", "%s|", "a b", "q\"u'o\\te", "$HOME", "--", "-c"])
    assert entrypoint(plain, image, without, command=words) == "a b|q\"u'o\\te|$HOME|--|-c|"


def test_with_neither_it_refuses_unless_it_may(plain: Operator) -> None:
    without = "rm -f /usr/bin/setpriv /usr/bin/su"
    assert "allow_root" in entrypoint(plain, "debian:13", without, command="echo ran")
    assert "ran\n" not in entrypoint(plain, "debian:13", without, command="echo ran")
    assert entrypoint(plain, "debian:13", without, command="id -u", agent_allow_root="yes").splitlines()[-1] == "0"


def test_a_user_and_a_group_that_are_there_are_taken_whatever_their_names(plain: Operator) -> None:
    said = entrypoint(plain, "ubuntu:24.04", command=LOOK, agent_uid="1000", agent_gid="100").splitlines()
    assert said[:5] == ["1000", "100", "ubuntu", "/state/home", "/state/workspace"]
    taken = "useradd -u 4000 hermes"
    assert entrypoint(plain, "debian:13", taken, command=LOOK).splitlines()[:3] == ["10000", "10000", "hermes-10000"]


def test_rights_are_set_where_they_are_wrong_and_nowhere_else(plain: Operator) -> None:
    before = (
        "mkdir -p /state/home/a /state/.hermes; echo x >/state/home/a/roots; ln -s /etc/passwd /state/home/link;"
        "mkdir /state/workspace; touch /state/workspace/group; chown 10000:4 /state/workspace/group"
    )
    guest(plain, "mkdir -p '/srv/read only'; touch '/srv/read only/file'")
    said = entrypoint(
        plain,
        "debian:13",
        before,
        options="-v '/srv/read only:/state/home/read only:ro'",
        command="stat -c %u:%g /state/home/a/roots /state/workspace/group '/state/home/read only/file' /etc/passwd",
    )
    assert said.split() == ["10000:10000", "10000:10000", "0:0", "0:0"]  # and nothing was complained of


def test_the_identity_is_the_one_that_the_container_carries(plain: Operator) -> None:
    label = guest(plain, f"docker inspect -f '{{{{index .Config.Labels \"{persistent.LABEL}\"}}}}' hermes").strip()
    written = {
        "vmid": VMID, "node": "n", "hostname": "h", "network": {"bridge": "b"},
        "litellm": {"base_url": "http://x/v1", "api_key": {"env": "K"}, "model": "m"},
        "mounts": [{"host": f"/mnt/pve/hdd/agent-{VMID}", "guest": "/data"}],
        "runtime": {"type": "persistent", "image": "ubuntu:24.04", "extra_packages": ["jq"]},
    }  # fmt: skip
    assert persistent.identity(Agent.model_validate(written)) == label
