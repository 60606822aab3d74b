"""The JSON Schema accepts what the loader accepts, and refuses what an editor can know to be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from proxhermes.inventory.models import Agent
from proxhermes.inventory.schema import json_schema
from proxhermes.inventory.tree import Report
from proxhermes.inventory.tree import read as read_tree

EVERYTHING = """\
version: 1
nodes:
  a:
    api: https://h:8006
    token: u@pve!tok
    token_secret: {command: [pass, show, pve]}
    tls: {fingerprint: "FINGERPRINT"}
    ssh: {host: h, user: root, port: 22, key_file: k, known_hosts: kh, jump: "me@gate:22"}
  b: {api: https://i:8006, token: u@pve!tok, token_secret: {file: s}, tls: {ca_file: ca.pem}}
litellm: {base_url: https://l:4000, ca_file: ca.pem}
defaults:
  litellm: {api_key: {env: K}, context_length: 200000}
  network: {bridge: vmbr0}
  nameserver: 1.1.1.1
agents:
  118:
    node: a
    hostname: one
    litellm: {model: team/fast}
    network: {ip: 10.0.0.5/24, gateway: 10.0.0.1, ip6: "2001:db8::5/64", gateway6: "fe80::1", vlan: 3, firewall: true,
              mtu: 1400, hwaddr: BC:24:11:00:00:01}
    template: local:vztmpl/debian-13-standard_13.6-1_amd64.tar.zst
    template_storage: local
    cores: 1
    memory: 2048
    swap: 0
    disk: {storage: local-lvm, size: 8}
    onboot: false
    startup: order=3,up=10
    timezone: Europe/Berlin
    nameserver: [1.1.1.1, "2606:4700::1111"]
    searchdomain: lan
    pool: ai
    ssh_public_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me]
    protection: true
    features: {nesting: true, keyctl: true}
    tags: [x]
    mounts: [{host: /srv/a, guest: /a, owner: 1000, read_only: true}, {host: /srv/b, guest: /b, owner: "1:2"}]
    engine: {source: docker-ce, registry_mirrors: [http://10.1.10.1:5000], log_driver: json-file,
             address_pools: [10.201.0.0/16]}
    guest: {http_proxy: http://10.0.0.1:3128, no_proxy: [.lan], apt_mirror: http://mirror.lan/debian}
    runtime:
      type: docker
      extra_args: [--verbose]
      engine: docker
      extra_volumes: ["/srv/models:/models:ro"]
      compose_override: {cap_add: [SYS_PTRACE]}
      image: registry.lan:5000/nousresearch/hermes-agent:latest
      restart: always
      network: bridge
      shm_size: 512m
      ports: ["127.0.0.1:8642:8642"]
      healthcheck: {enabled: true, interval: 5, timeout: 2, retries: 2, start_period: 60}
      registry_auth: {registry.lan:5000: {username: joe, password: {env: REGISTRY_PASSWORD}}}
    hermes:
      data_dir: /srv/hermes
      uid: 1000
      gid: 1000
      working_directory: /b
      managed: false
      environment: {A: b, B: 3}
      environment_files: [a.env]
      secrets: {C: {env: C}, D: {command: [pass, d]}, E: {age: e.age, identity: key},
                F: {keyring: hermes/f}, G: {prompt: "What is G?"}}
      auth_file: {file: auth.json}
      auth_file_force_overwrite: true
      mcp_tokens: {lab: {token: lab.json, client: {file: c.json}}}
      mcp_servers:
        lab: {url: http://10.1.10.1:9000/mcp, headers: {Authorization: "Bearer ${C}"}, auth: oauth, enabled: false,
              timeout: 9, connect_timeout: 3, tools: {include: [a]},
              sampling: {enabled: true, model: m, max_tokens_cap: 9, timeout: 9, max_rpm: 2, max_tool_rounds: 0,
                         allowed_models: [m], log_level: debug}}
        stdio: {command: npx, args: [-y, server], env: {A: b}, tools: {exclude: [b]}}
      terminal: {backend: local, timeout: 60, env_passthrough: [C], home_mode: real, persistent_shell: false,
                 auto_source_bashrc: false, shell_init_files: [/data/env.sh]}
      settings: {agent: {max_turns: 60}, list: [1, two, null, 2.5]}
      settings_files: [base.yaml, more.yaml]
      config_version: 33
      documents: {USER.md: hello, notes/a.md: {file: a.md}, b.md: {text: b}}
      home_files: {SOUL.md: {file: SOUL.md}}
      plugins: {mine: {path: plugins/mine, enabled: false}}
      skills:
        wiki: {path: skills/wiki}
        release: {git: "https://git.lan/skills.git", ref: v1, subdir: skills/release}
        dice: {hub: official/games/dice}
      profiles:
        work:
          model: m2
          gateway: {enable: false}
          messaging: {telegram: {token: {env: W}, allowed_users: 1}}
          home_files: {SOUL.md: You are brief.}
      crons:
        news: {schedule: "0 7 * * 1-5", prompt: "What is new?", deliver: [telegram, "discord:5"], skills: [wiki],
               script: news.sh, workdir: /data, enabled: false}
        disk: {schedule: every 30m, script: disk.sh, no_agent: true, deliver: telegram}
    messaging:
      telegram: {token: {env: T}, allowed_users: 1, home_channel: -5, base_url: http://10.1.10.1:8081/bot,
                 base_file_url: http://10.1.10.1:8081/file/bot, require_mention: true, group_allowed_chats: [-1]}
      discord: {token: {env: D}, allowed_roles: [1], allowed_channels: [2], allow_all_users: true}
      slack: {bot_token: {env: B}, app_token: {env: P}, allowed_channels: C1}
  119:
    node: b
    hostname: two
    litellm: {model: m}
    hermes: {config_file: config.yaml}
    runtime:
      type: native
      package: {git: "https://git.lan/hermes.git", ref: v1}
      python: "3.14"
      python_mirror: http://mirror.lan/python-build-standalone
      extras: [cron, mcp]
      extra_packages: [pandoc]
      extra_python_packages: [pandas==2.2.3]
      state_dir: /srv/hermes
      user: agent
      group: agent
      create_user: false
      restart: on-failure
      restart_sec: 3
      add_to_path: false
      tools: minimal
  120:
    node: b
    hostname: three
    litellm: {model: m}
    runtime: {type: persistent, image: "debian:13", allow_root: true, engine: podman, venv_python: python3.12,
              package: {wheel: hermes_agent-0.19.0-py3-none-any.whl, require_hashes: hermes.lock},
              python_archive: {url: "https://mirror.lan/python.tar.gz", sha256: "SHA256"}}
  121:
    node: b
    hostname: four
    litellm: {model: m}
    runtime: {type: persistent, package: {pypi: hermes-agent==0.19.0}}
  122:
    node: b
    hostname: five
    litellm: {model: m}
    runtime: {type: native, package: {image: "nousresearch/hermes-agent:0.23.4"}}
""".replace("FINGERPRINT", ":".join(["AB"] * 32)).replace("SHA256", "0" * 64)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    for name in ("base.yaml", "more.yaml", "config.yaml"):
        (tmp_path / name).write_text("agent: {verbose: true}\n")


def plain(text: str) -> object:
    tree = read_tree(text, Report("x"))
    assert tree is not None
    return tree.plain()


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.json_path for error in validator.iter_errors(plain(text))]


def test_the_examples_in_it_are_good_ones():
    schema = json_schema()
    found = 0
    for definition in schema["$defs"].values():
        for name, each in definition.get("properties", {}).items():
            for example in each.get("examples", []):
                found += 1
                validator = jsonschema.Draft202012Validator({**each, "$defs": schema["$defs"]})
                assert not [error.message for error in validator.iter_errors(example)], name
    assert found > 10


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_it_accepts_the_example_the_smallest_and_everything(smallest, read):
    example = (Path(__file__).parents[3] / "inventory.example.yaml").read_text()
    for text in (example, smallest, EVERYTHING):
        assert errors(text) == []
        read(text)


def blocks(value: object) -> Iterator[BaseModel]:
    """Every block in a read inventory, however deep."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from blocks(getattr(value, name))
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from blocks(item)


def test_everything_is_everything(read):
    """So that a new field gets into the test of the schema: each option of each block is written somewhere."""
    written: dict[type[BaseModel], set[str]] = {Agent: {"vmid"}}
    for agent in read(EVERYTHING).agents.values():
        for block in blocks(agent):
            for kind in type(block).__mro__:
                if issubclass(kind, BaseModel):
                    written.setdefault(kind, set()).update(block.model_fields_set)
    # What a block inherits may stand in any of its kind.
    missing = {
        kind.__name__: kind.model_fields.keys() & kind.__annotations__.keys() - names for kind, names in written.items()
    }
    assert {name: fields for name, fields in missing.items() if fields} == {}


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("version: 1", "version: 2", "$.version"),
        ("cores: 1", "cores: one", "$.agents['118']"),
        ("cores: 1", "core: 1", "$.agents['118']"),
        ("{env: C}", "hunter2", "$.agents['118']"),
        ("{env: C}", "{env: A, file: b}", "$.agents['118']"),
        ("  119:", "  99:", "$.agents"),
        ("{host: /srv/a, guest: /a,", "{host: /srv/a,", "$.agents['118']"),
        ("source: docker-ce", "source: podman", "$.agents['118']"),
        ("hostname: one", "hostname: 'o n e'", "$.agents['118']"),
        ("token_secret: {file: s}", "token_secret: s", "$.nodes.b"),
    ],
)
def test_it_refuses(old, new, path):
    assert old in EVERYTHING
    assert errors(EVERYTHING.replace(old, new)) == [path]


def test_every_field_is_described():
    definitions = json_schema()["$defs"]
    bare = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []
