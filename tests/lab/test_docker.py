"""How the agent's Docker container is made: each option of `runtime`, seen from where it matters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import WITH_DOCKER, Operator, agent

from proxhermes.lab.images.agents import NEWEST
from proxhermes.lab.images.cache import Cache
from tests.unit.registry import copied, registry

VMID = 162
HOME = "/opt/hermes/data"
NAMES = ("hermes", "hermes-agent", "hermes-acp")


@pytest.fixture(scope="module")
def docker(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator with an agent that runs; the tests follow one container through its options."""
    someone = Operator(lab, tmp_path_factory.mktemp("docker"))
    someone.write(mine)
    someone.run("up", "--no-verify")
    yield someone
    someone.write(mine)
    someone.run("destroy", str(VMID), "--yes", "--purge-data", "--yes-purge-data", code=None)


def mine(document: dict[str, Any], **changed: Any) -> None:
    agent(document, VMID, **(WITH_DOCKER | {"messaging": {}} | changed))


def runtime(operator: Operator, hermes: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """Bootstrap with these options of the runtime, and again, which changes nothing; what the first one changed."""
    operator.write(lambda document: mine(document, runtime=options, hermes=hermes or {}))
    (result,) = operator.json("bootstrap")["agents"]
    (again,) = operator.json("bootstrap")["agents"]
    assert again["changes"] == []
    return [change["subject"] for change in result["changes"]]


guest = partial(Operator.guest, vmid=VMID)


def inspect(operator: Operator, path: str) -> Any:
    return json.loads(guest(operator, f"docker inspect -f '{{{{json {path}}}}}' hermes"))


def address(operator: Operator) -> str:
    return guest(operator, "hostname -I").split()[0]


def asked(operator: Operator, url: str, key: str = "") -> str:
    """The HTTP status that the node gets; the key goes over standard input."""
    words = ["curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-", url]
    header = f'header = "Authorization: Bearer {key}"\n' if key else ""
    return operator.lab.run(words, stdin=header, check=False).stdout.strip()


def test_nothing_is_reachable_that_is_not_published(docker: Operator) -> None:
    assert asked(docker, f"http://{address(docker)}:8642/health") == "000"
    docker.run("verify", "--only", "hermes.ports")


def test_a_published_api_asks_for_its_key(docker: Operator) -> None:
    subjects = runtime(docker, ports=["8642:8642"])
    assert {".env: API_SERVER_HOST", "compose.yaml: ports"} <= set(subjects)
    url = f"http://{address(docker)}:8642/v1/models"
    key = guest(docker, f"sed -n 's/^API_SERVER_KEY=//p' {HOME}/.env").strip().strip("'\"")
    assert len(key) > 30
    assert asked(docker, url) == "401"
    assert asked(docker, url, "not-the-key") == "401"
    assert asked(docker, url, key) == "200"
    said = docker.run("verify", "--only", "hermes.ports", "--only", "hermes.asks").stderr
    assert "without a key: 8642/v1/models: HTTP 401" in said


def test_a_port_published_for_the_guest_alone_is_not_reachable(docker: Operator) -> None:
    runtime(docker, ports=["127.0.0.1:8642:8642"])
    assert asked(docker, f"http://{address(docker)}:8642/health") == "000"
    assert guest(docker, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8642/health") == "200"
    docker.run("verify", "--only", "hermes.ports")


def test_on_the_hosts_network_the_api_is_its_own_still(docker: Operator) -> None:
    assert "compose.yaml: network_mode" in runtime(docker, network="host")
    assert inspect(docker, ".HostConfig.NetworkMode") == "host"
    assert guest(docker, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8642/health") == "200"
    assert asked(docker, f"http://{address(docker)}:8642/health") == "000"
    docker.run("verify", "--skip", "hermes.answer", "--skip", "hermes.tool")


def test_capabilities_and_other_keys_pass_through(docker: Operator) -> None:
    override = {"cap_add": ["SYS_PTRACE"], "dns_search": ["lab.lan"], "environment": {"MINE": "a $dollar"}}
    assert {"compose.yaml: cap_add", "compose.yaml: environment.MINE"} <= set(
        runtime(docker, compose_override=override)
    )
    assert [name.removeprefix("CAP_") for name in inspect(docker, ".HostConfig.CapAdd")] == ["SYS_PTRACE"]
    assert inspect(docker, ".HostConfig.DnsSearch") == ["lab.lan"]
    assert "MINE=a $dollar" in inspect(docker, ".Config.Env")


def test_an_extra_volume_is_seen_by_the_agent_and_a_missing_folder_stops_before_the_start(docker: Operator) -> None:
    before = inspect(docker, ".Id")
    volumes = ["/srv/models:/models:ro", "cache:/cache"]
    docker.write(lambda document: mine(document, runtime={"extra_volumes": volumes}))
    done = docker.run("bootstrap", code=1)
    assert "/srv/models: not there" in done.stderr
    assert (inspect(docker, ".Id"), inspect(docker, ".State.Running")) == (before, True)
    guest(docker, "mkdir -p /srv/models; echo weights >/srv/models/file")
    runtime(docker, extra_volumes=volumes)
    assert guest(docker, "docker exec hermes cat /models/file").strip() == "weights"
    refused = guest(docker, "docker exec hermes touch /models/new 2>&1 || :")
    assert "Read-only" in refused
    assert "hermes_cache" in guest(docker, "docker volume ls -q")
    guest(docker, "docker exec hermes sh -c 'echo kept >/cache/kept'")
    runtime(docker, extra_volumes=["cache:/cache"], shm_size="256m")
    assert guest(docker, "docker exec hermes cat /cache/kept").strip() == "kept"
    assert inspect(docker, ".HostConfig.ShmSize") == 256 << 20


def test_restart_and_health_are_as_declared(docker: Operator) -> None:
    health = {"interval": 2, "timeout": 3, "retries": 4, "start_period": 5}
    runtime(docker, restart="always", healthcheck=health)
    assert inspect(docker, ".HostConfig.RestartPolicy.Name") == "always"
    found = inspect(docker, ".Config.Healthcheck")
    seconds = {key: found[key] // 10**9 for key in ("Interval", "Timeout", "StartPeriod")}
    assert (seconds, found["Retries"]) == ({"Interval": 2, "Timeout": 3, "StartPeriod": 5}, 4)
    wait = "until [ $(docker inspect -f '{{.State.Health.Status}}' hermes) = healthy ]; do sleep 0.2; done"
    guest(docker, f'timeout 60 sh -c "{wait}"')
    runtime(docker, healthcheck={"enabled": False})
    assert inspect(docker, ".State.Health") is None


def test_arguments_reach_the_gateway_and_survive_a_restart(docker: Operator) -> None:
    runtime(docker, extra_args=["-vv", "--accept-hooks"])
    gateways = "docker exec hermes ps -eo args | grep '[h]ermes gateway run'"
    assert "gateway run --no-supervise -vv --accept-hooks" in guest(docker, gateways)
    assert len(guest(docker, gateways).splitlines()) == 1
    guest(docker, "docker restart hermes")
    docker.run("bootstrap")  # waits for the gateway
    assert "--accept-hooks" in guest(docker, gateways)
    assert len(guest(docker, gateways).splitlines()) == 1
    docker.run("verify", "--only", "hermes.service", "--only", "hermes.gateway", "--only", "hermes.platforms")
    runtime(docker)
    assert "--accept-hooks" not in guest(docker, gateways)
    docker.run("verify")


def test_its_commands_are_on_the_path_and_run_as_the_agent(docker: Operator) -> None:
    assert guest(docker, "hermes config get model.default").strip() == "claude-sonnet"
    assert "managed by proxhermes" in guest(docker, "hermes config set a.b c 2>&1")
    assert "hermes-acp" in guest(docker, "hermes-acp --help")
    guest(docker, "useradd -m joe")
    assert "call this as root" in guest(docker, "su -l joe -c 'hermes --version' 2>&1 || true")
    assert guest(docker, f"find {HOME} ! -uid 10000").strip() == ""
    assert runtime(docker, add_to_path=False) == [f"/usr/local/bin/{name}" for name in NAMES]
    assert guest(docker, "command -v hermes || true") == ""


def test_an_image_is_named_by_its_digest_and_kept(docker: Operator) -> None:
    digest = guest(docker, "docker image inspect -f '{{index .RepoDigests 0}}' nousresearch/hermes-agent").strip()
    name, _, rest = digest.partition("@")
    assert "compose.yaml: image" in runtime(docker, image=f"{name}:latest@{rest}")
    assert inspect(docker, ".Config.Image") == f"{name}:latest@{rest}"
    docker.run("verify", "--only", "hermes.service", "--only", "hermes.gateway")


def test_it_is_recreated_on_purpose(docker: Operator) -> None:
    runtime(docker)
    before = inspect(docker, ".Id")
    planned = docker.run("plan", "--recreate", code=3)
    assert "what was changed in it is lost; /opt/hermes/data" in planned.stdout + planned.stderr
    docker.run("bootstrap", "--recreate", "--yes")
    after = inspect(docker, ".Id")
    docker.run("bootstrap")
    assert before != after == inspect(docker, ".Id")


def test_the_plan_says_that_a_tag_moved_and_how_to_get_what_it_means_now(docker: Operator, tmp_path: Path) -> None:
    image, host = "nousresearch/hermes-agent:moving", docker.lab.slot.host_address
    with ExitStack() as stack:
        source = stack.enter_context(registry(tmp_path / "source", storage=Cache().registry))
        address = stack.enter_context(registry(tmp_path / "own", host=host))
        copied(f"{source}/nousresearch/hermes-agent:{NEWEST.version}", f"{address}/{image}")
        engine = {"registry_mirrors": [f"http://{address}", "http://10.1.10.1:5000"]}

        def use(name: str) -> None:
            docker.write(lambda document: mine(document, engine=engine, runtime={"image": name}))

        use(image)
        docker.run("up", "--no-verify")
        said = docker.run("plan")
        assert f"ask what {image} means now" in said.stderr and "now means" not in said.stderr

        new = copied(f"{source}/nousresearch/hermes-agent:{NEWEST.rebuild}", f"{address}/{image}")
        said = docker.run("plan")  # ends with 0: it would change nothing
        assert f"{image} now means {new[:19]}" in said.stderr
        assert re.search(rf"CT {VMID} has sha256:[0-9a-f]{{12}} \({NEWEST.version}\): it stays", said.stderr)
        assert f"runtime.image: {image}@{new}" in said.stderr

        use(f"{image}@{new}")
        docker.run("up", "--no-verify")
        assert inspect(docker, ".Config.Image") == f"{image}@{new}"
        assert f"{image}@{new}" in docker.run("verify", "--only", "hermes.service").stderr
        assert "means now" not in docker.run("plan").stderr

        use(image)
    said = docker.run("plan", code=3)  # the registry is gone
    assert f"could not be asked what {image} means now" in said.stderr
