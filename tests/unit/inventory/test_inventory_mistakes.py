# ruff: noqa: E501 - a table that is read line by line
"""Every mistake: where it is said to stand, what it is said to be. `«` marks the expected place in each text."""

from __future__ import annotations

import pytest

HEAD = """\
version: 1
nodes: {n: {api: "https://h:8006", token: u@pve!tok, token_secret: {env: S}}}
litellm: {base_url: "http://l:4000/v1", api_key: {env: K}, model: m}
"""


def agent(more: str, *, network: str = "{bridge: b}") -> str:
    return HEAD + f"agents:\n  118:\n    node: n\n    hostname: h\n    network: {network}\n{more}"


def mount(host: str = "/mnt/a/b", guest: str = "/data", more: str = "") -> str:
    return agent(f"    mounts:\n      - {{host: {host}, guest: {guest}{more}}}\n")


def place(text: str) -> tuple[str, int, int]:
    before, _, after = text.partition("«")
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


CASES = [
    # the file
    ("version: «2\n" + HEAD[11:] + "agents: {}", "version", "no version"),
    ("version: «true\n" + HEAD[11:] + "agents: {}", "version", "no version"),
    ("«- version: 1", "", "a list stands here instead of a block"),
    (HEAD + "agents: «[]", "agents", "a list stands here"),
    (HEAD + "agents: {}\n«agent: {}", "agent", "unknown key `agent`"),
    # YAML
    ("version: 1\n«\tnodes: {}", "", "a tab"),
    ("version: 1\nnodes: «: {}", "", "a `:`"),
    ("version: «@1", "", "a character that means something"),
    ("version: 1\n«---\nversion: 1", "", "second document"),
    ("version: «*x", "", "an alias"),
    (agent("    timezone: «!!python/object:os.system x\n"), "agents.118.timezone", "a tag"),
    (agent("    timezone: «!secret x\n"), "agents.118.timezone", "a tag"),
    (agent("    cores: 2\n    «cores: 3\n"), "agents.118.cores", "a second time; the first is in line 9"),
    (HEAD + "agents:\n  118: {node: n, hostname: a, network: {bridge: b}}\n  «'118': {}\n", "agents.118", "a second time"),
    (agent("    onboot: «yes\n"), "agents.118.onboot", "`yes` without quotes is the boolean true"),
    (agent("    onboot: «off\n"), "agents.118.onboot", "the boolean false"),
    (agent("    «on: true\n"), "agents.118.on", "`on` without quotes"),
    (agent("    memory: «04096\n"), "agents.118.memory", "octal"),
    (agent("    memory: «4_096\n"), "agents.118.memory", "do not agree"),
    (mount(more=", owner: «33:33"), "agents.118.mounts[0].owner", "base 60"),
    (agent("", network="{bridge: b, hwaddr: «10:20:30:40:50:51}"), "agents.118.network.hwaddr", "base 60"),
    (agent("    pool: «&p [*p]\n"), "agents.118.pool[0]", "holds itself"),
    # agents
    (HEAD + "agents:\n  «99: {node: n, hostname: a, network: {bridge: b}}\n", "agents.99", "not a VMID"),
    (HEAD + "agents:\n  «0118: {node: n, hostname: a, network: {bridge: b}}\n", "agents.0118", "not a VMID"),
    (HEAD + "agents:\n  «1000000000: {node: n, hostname: a, network: {bridge: b}}\n", "agents.1000000000", "not a VMID"),
    (HEAD + "agents:\n  «hermes: {node: n, hostname: a, network: {bridge: b}}\n", "agents.hermes", "not a VMID"),
    (agent("    «vmid: 118\n"), "agents.118.vmid", "unknown key `vmid`"),
    (HEAD + "agents:\n  118: {node: «m, hostname: a, network: {bridge: b}}\n", "agents.118.node", "no node is called 'm'"),
    (HEAD + "agents:\n  «118: {node: n, network: {bridge: b}}\n", "agents.118.hostname", "`hostname` is missing"),
    (HEAD + "agents:\n  118: {node: n, hostname: «a_b, network: {bridge: b}}\n", "agents.118.hostname", "not a host name"),
    (HEAD + "agents:\n  118: {node: n, hostname: «-a, network: {bridge: b}}\n", "agents.118.hostname", "not a host name"),
    (agent("    cores: «two\n"), "agents.118.cores", "text stands here instead of a whole number"),
    (agent('    cores: «"2"\n'), "agents.118.cores", "text stands here instead of a whole number"),
    (agent("    cores: «2.5\n"), "agents.118.cores", "a number stands here instead of a whole number"),
    (agent("    cores: «true\n"), "agents.118.cores", "true stands here"),
    (agent("    cores: «0\n"), "agents.118.cores", "too small"),
    (agent("    onboot: «1\n"), "agents.118.onboot", "instead of true or false"),
    (agent("    disk: «24\n"), "agents.118.disk", "instead of a block of keys"),
    (agent("    disk: {«sise: 24}\n"), "agents.118.disk.sise", "unknown key `sise`"),
    (agent("    «bridge: b\n"), "agents.118.bridge", "unknown key `bridge`"),
    (agent("    tags: [ok, «'not ok']\n"), "agents.118.tags[1]", "not a tag"),
    (agent("    template: «local:iso/x.iso\n"), "agents.118.template", "not a template"),
    (agent("    startup: «first\n"), "agents.118.startup", "not a start-up order"),
    (agent("    nameserver: «dns.lan\n"), "agents.118.nameserver", "not an IP address"),
    (agent("    nameserver: [10.0.0.1, «dns.lan]\n"), "agents.118.nameserver[1]", "not an IP address"),
    (agent("    ssh_public_keys: [«hello]\n"), "agents.118.ssh_public_keys[0]", "not a public SSH key"),
    (agent("    engine: {source: «podman}\n"), "agents.118.engine.source", "not one of the values"),
    (agent("    litellm: {context_length: «32000}\n"), "agents.118.litellm.context_length", "too small"),
    # network
    (agent("", network="{bridge: «'a b'}"), "agents.118.network.bridge", "not the name of a bridge"),
    (agent("", network="{bridge: «abcdefghijklmnop}"), "agents.118.network.bridge", "not the name of a bridge"),
    (agent("", network="«{}"), "agents.118.network.bridge", "`bridge` is missing"),
    (agent("", network="{bridge: b, ip: «10.1.10.5}"), "agents.118.network.ip", "no prefix length"),
    (agent("", network="{bridge: b, ip: «10.1.10.256/24}"), "agents.118.network.ip", "not an address"),
    (agent("", network="{bridge: b, gateway: «10.1.10.1}"), "agents.118.network.gateway", "fixed address"),
    (agent("", network="{bridge: b, vlan: «4095}"), "agents.118.network.vlan", "too large"),
    (agent("", network="{bridge: b, hwaddr: «01:00:5E:00:00:01}"), "agents.118.network.hwaddr", "not a hardware address"),
    # mounts: the guest's side
    *[
        (mount(guest="«" + path), "agents.118.mounts[0].guest", word)
        for path, word in {
            "/": "would cover", "//": "would cover", "/etc": "would cover", "/usr/local": "would cover", "/var": "would cover",
            "/var/lib/docker/x": "would cover", "/root": "would cover", "/opt": "would cover", "/opt/data": "image",
            "/opt/data/x": "image", "data": "absolute", "/a/../etc": "`..`", "/a/./b": "`.`", '"/a,b"': "','", '"/a b"': "' '",
            '"/a:b"': "':'", '"/a\\nb"': "'\\n'", "4": "instead of text",
        }.items()
    ],
    # mounts: the host's side
    *[
        (mount(host="«" + path), "agents.118.mounts[0].host", word)
        for path, word in {
            "/": "as a whole", "/etc": "system", "/etc/pve/x": "system", "/root": "system", "/root/hermes": "system",
            "/var/lib/vz": "as a whole", "/var/lib/vz/images": "keeps", "/var/lib/pve-cluster": "system", "/mnt": "as a whole",
            "/mnt/pve": "as a whole", "/mnt/pve/hdd": "whole storage", "/mnt/pve/hdd/images/118": "keeps", "/home": "as a whole",
            "/proc": "system", "srv/x": "absolute", "/srv/../etc": "`..`", '"/srv/a,b"': "','",
        }.items()
    ],
    (mount(more=", owner: «nobody"), "agents.118.mounts[0].owner", "not an owner"),
    (mount(more=", owner: «70000"), "agents.118.mounts[0].owner", "not an owner"),
    (mount(more=", «readonly: true"), "agents.118.mounts[0].readonly", "unknown key"),
    (agent("    mounts:\n      - {«host: /srv/a}\n").replace("{«host", "«{host"), "agents.118.mounts[0].guest", "missing"),
    (mount() + "      - {host: /srv/b, guest: «/data/}\n", "agents.118.mounts[1].guest", "mounted twice"),
    (mount() + "      - {host: «/mnt/a/b, guest: /fast}\n", "agents.118.mounts[1].host", "mounted twice"),
    (mount(guest="/data/x") + "      - {host: /srv/b, guest: «/data}\n", "agents.118.mounts[1].guest", "would cover the mount"),
    (mount(guest="«/srv/h/x") + "    hermes: {data_dir: /srv/h}\n", "agents.118.mounts[0].guest", "collides"),
    # between agents
    (
        mount() + "  119: {node: n, hostname: i, network: {bridge: b}, mounts: [{host: «/mnt/a/b/, guest: /data}]}\n",
        "agents.119.mounts[0].host",
        "already a folder of agent 118 (line 10)",
    ),
    (
        mount() + "  119: {node: n, hostname: i, network: {bridge: b}, mounts: [{host: «/mnt/a/b/c, guest: /data}]}\n",
        "agents.119.mounts[0].host",
        "lies inside",
    ),
    (
        mount(host="/mnt/a/b/c") + "  119: {node: n, hostname: i, network: {bridge: b}, mounts: [{host: «/mnt/a/b, guest: /d}]}\n",
        "agents.119.mounts[0].host",
        "holds",
    ),
    (
        agent("", network="{bridge: b, ip: 10.0.0.5/24}") + "  119: {node: n, hostname: i, network: {bridge: b, ip: «10.0.0.5/24}}\n",
        "agents.119.network.ip",
        "agent 118 has the same address",
    ),
    (
        agent("") + "  119: {node: n, hostname: i}\ndefaults:\n  network: {bridge: b}\n  mounts:\n  - {host: «/srv/a, guest: /a}\n",
        "defaults.mounts[0].host",
        "one folder of the agents 118, 119",
    ),
    # defaults: named where they are written, once
    (agent("") + "defaults:\n  memory: «lots\n", "defaults.memory", "text stands here"),
    (agent("    memory: 512\n") + "defaults:\n  memory: «lots\n", "defaults.memory", "text stands here"),
    (HEAD + "agents: {}\ndefaults:\n  memory: «lots\n", "defaults.memory", "text stands here"),
    (agent("") + "  119: {node: n, hostname: i, network: {bridge: b}}\ndefaults: {«core: 3}\n", "defaults.core", "unknown key"),
    (agent("").replace("hostname: h", "hostname: h\n    disk: &d {size: «big}") + "    disk2: *d\n", "agents.118.disk.size", "text"),
    # nodes
    (agent("").replace('"https://h:8006"', "«http://h:8006"), "nodes.n.api", "not a URL of the kind https"),
    (agent("").replace('"https://h:8006"', "«h"), "nodes.n.api", "not a URL"),
    (agent("").replace('"https://h:8006"', "«https://h:8006/x"), "nodes.n.api", "no path"),
    (agent("").replace("u@pve!tok", "«u@pve"), "nodes.n.token", "not the id of an API token"),
    (agent("").replace("{n: {", "{n: {tls: {fingerprint: «AB:CD}, "), "nodes.n.tls.fingerprint", "SHA-256"),
    (agent("").replace("{n: {", "{n: {tls: «{insecure: true, ca_file: a}, "), "nodes.n.tls", "one way only"),
    (agent("").replace("{n: {", "{n: {ssh: {port: «0}, "), "nodes.n.ssh.port", "too small"),
    (agent("").replace("{n: {", "{n: {«sshh: {}, "), "nodes.n.sshh", "unknown key"),
    # Hermes
    (agent("    runtime: {image: «'A B'}\n"), "agents.118.runtime.image", "not the name of an image"),
    (agent("    hermes: {data_dir: «/etc/hermes}\n"), "agents.118.hermes.data_dir", "system"),
    (agent("    runtime: {ports: [«'8642']}\n"), "agents.118.runtime.ports[0]", "not a published port"),
    (agent("    hermes: {environment: {«1X: a}}\n"), "agents.118.hermes.environment.1X", "not the name of an environment"),
    (agent("    hermes: {environment: {X: «true}}\n"), "agents.118.hermes.environment.X", "true stands here instead of text"),
    (agent('    hermes: {environment: {X: «"a\\eb"}}\n'), "agents.118.hermes.environment.X", "control character"),
    (agent("    hermes: {environment: {«HERMES_UID: 5}}\n"), "agents.118.hermes.environment.HERMES_UID", "written by proxhermes"),
    (agent("    hermes: {environment: {«HERMES_HOME_MODE: '0700'}}\n"), "agents.118.hermes.environment.HERMES_HOME_MODE", "written by proxhermes"),
    (agent("    hermes: {environment: {«LITELLM_API_KEY: abc}}\n"), "agents.118.hermes.environment.LITELLM_API_KEY", "written by proxhermes"),
    (agent("    hermes: {environment: {API_SERVER_KEY: «abc}}\n"), "agents.118.hermes.environment.API_SERVER_KEY", "a secret by its name"),
    (agent("    hermes: {environment: {API_SERVER_PORT: «abc}}\n"), "agents.118.hermes.environment.API_SERVER_PORT", "'abc' is not a port"),
    (agent("    hermes: {environment: {HERMES_DASHBOARD_PORT: «''}}\n"), "agents.118.hermes.environment.HERMES_DASHBOARD_PORT", "not a port"),
    (agent("    hermes: {environment: {HERMES_DASHBOARD_PORT: «99999}}\n"), "agents.118.hermes.environment.HERMES_DASHBOARD_PORT", "not a port"),
    (agent("    hermes: {environment: {API_SERVER_ENABLED: «'false'}}\n"), "agents.118.hermes.environment.API_SERVER_ENABLED", "cannot be switched off"),
    (agent("    hermes: {secrets: {A:« }}\n"), "agents.118.hermes.secrets.A", "nothing stands here"),
    (agent("    hermes: {secrets: {«API_SERVER_HOST: {env: X}}}\n"), "agents.118.hermes.secrets.API_SERVER_HOST", "no secret"),
    (agent("    hermes: {secrets: {«TELEGRAM_ALLOWED_USERS: {env: X}}}\n    messaging: {telegram: {token: {env: T}, allowed_users: 1}}\n"), "agents.118.hermes.secrets.TELEGRAM_ALLOWED_USERS", "messaging.telegram.allowed_users"),
    (agent("    hermes: {settings: {model: {provider: «x}}}\n"), "agents.118.hermes.settings.model.provider", "says something else than"),
    (agent("    hermes: {data_dir: /srv/h}\n    runtime: {type: native, state_dir: «/srv/h/state}\n"), "agents.118.runtime.state_dir", "hermes.data_dir"),
    (agent("    hermes: {working_directory: «/ro, documents: {A.md: a}}\n    mounts: [{host: /srv/x, guest: /ro, read_only: true}]\n"), "agents.118.hermes.working_directory", "read-only"),
    (agent("    messaging: {«telegramm: {}}\n"), "agents.118.messaging.telegramm", "unknown key"),
    (agent("    messaging: {telegram: {token: {env: T}, base_url: «http://h:1}}\n"), "agents.118.messaging.telegram.base_url", "/bot"),
    (agent("    messaging: {telegram: «{}}\n"), "agents.118.messaging.telegram.token", "missing"),
    (agent("    runtime: {engine: podman}\n    engine: {source: «docker-ce}\n"), "agents.118.engine.source", "line 9 says `engine: podman`"),
    (agent("    runtime: {engine: podman}\n    engine: {log_driver: «syslog}\n"), "agents.118.engine.log_driver", "is Docker's"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "word"), CASES, ids=[f"{case[1]}-{case[2]}"[:70] for case in CASES])
def test_one_mistake_is_one_message_at_its_place(problems, text, path, word):
    clean, line, column = place(text)
    found = problems(clean)
    matching = [problem for problem in found if problem.path == path and word in problem.message]
    assert len(matching) == 1, [str(problem) for problem in found]
    (problem,) = matching
    # What is missing is said at the key of the block that lacks it, unless it is an item of a list.
    if "missing" not in problem.message:
        assert (problem.line, problem.column) == (line, column), str(problem)
    else:
        assert problem.line == line
    # A mistake of syntax, or a wrong version, hides nothing; nothing else is told about that place.
    assert [other for other in found if (other.line, other.column) == (problem.line, problem.column)] == [problem]


def runtime(more: str) -> str:
    return agent(f"    runtime: {{{more}}}\n")


def hermes(more: str) -> str:
    return agent(f"    hermes: {{{more}}}\n")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (agent("    mcp_servers: {}\n"), "it belongs into `hermes`"),
        (agent("    secrets: {}\n"), "it belongs into `hermes`"),
        (hermes("env: {A: b}"), "did you mean `environment`?"),
        (hermes("messaging: {}"), "it belongs beside `hermes`"),
        (hermes("model: x"), "it belongs into `litellm`, beside `hermes`"),
        (hermes("image: x"), "it belongs into `runtime`, beside `hermes`"),
        (runtime("type: native, hermes: {}"), "it belongs beside `runtime`"),
        (runtime("type: docker, extras: [a]"), "it is an option of the runtimes persistent and native"),
        (runtime("type: docker, create_user: true"), "it is an option of the runtime native"),
        (agent("    engine: podman\n"), "`runtime: {engine: podman}`"),
        (runtime("restart: no"), 'false for a switch, "no" in quotes for a text'),
        (runtime("type: native") + "    hermes: {environment: {HERMES_HOME: /x}}\n", "`runtime.state_dir` in its place"),
        (hermes("environment: {HERMES_HOME: /x}"), "`hermes.data_dir` in its place"),
        # not pydantic's own words
        (runtime("shm_size: 1gib"), "as in `1g` or `512m`"),
        (runtime("type: native, extras: [Web UI]"), "small letters and digits: `web`"),
        (runtime("type: native, package: {git: 'https://g/x', ref: -x}"), "as in `v0.19.0`, `main` or a commit"),
        (runtime("type: native, package: {pypi: hermes-agent == 0.19.0}"), "without blanks, as in `pandas==2.2.3` or `httpx[http2]>=0.27`"),
        (hermes("mcp_servers: {a b: {command: x}}"), "letters, digits and . _ -, the first one no . _ -"),
        (hermes("mcp_servers: {a: {url: 'http://h', headers: {'a b': c}}}"), "as in `X-Api-Key`"),
        (agent("    litellm: {model: ' a'}\n"), "one line as LiteLLM has it, without blanks around it"),
        # the shape of what is wanted
        (agent("    runtime: native\n"), "as in `{type: native}`"),
        (agent("    network: vmbr0\n").replace("    network: {bridge: b}\n", ""), "as in `{bridge: vmbr0}`"),
        (agent("    mounts: [/data]\n"), "as in `{host: /mnt/pve/hdd/hermes, guest: /data}`"),
        (runtime("type: native, package: hermes-agent==0.19.0"), 'as in `{pypi: "hermes-agent==0.19.0"}`'),
        (runtime("healthcheck: false"), "as in `{enabled: false}`"),
        (runtime("ports: [8642]"), 'as in `"8642:8642"`'),
        (runtime("ports: 8642"), 'as in `["8642:8642"]`'),
        (hermes("plugins: {mine: plugins/mine}"), "as in `{path: plugins/mine}`"),
        (hermes("mcp_tokens: {linear: linear.json}"), "as in `{token: secrets/wiki.json}`"),
        (hermes("documents: [A]"), "as in `{A.md: {file: A.md}}`"),
        (hermes("documents: {B.md: 3}"), "as in `{file: A.md}`"),
        (hermes("secrets: {A: {command: pass show x}}"), "as in `[pass, show, hermes/token]`"),
        (hermes("environment: {FLAG: true}"), '"true" in quotes'),
        (agent("    timezone: 5\n"), "text"),
    ],
)  # fmt: skip
def test_the_way_out_leads_out(problems, text, allowed):
    assert [problem.allowed for problem in problems(text)] == [allowed]


def test_nearest_key_is_offered(problems):
    (problem,) = problems(agent("    hostnam: x\n"))
    assert problem.allowed == "did you mean `hostname`?"
    (problem,) = problems(agent("    gateway: 10.0.0.1\n"))
    assert problem.allowed == "it belongs into `network`"
    (problem,) = problems(agent("    xyzzy: 1\n"))
    assert "cores" in problem.allowed


def test_all_mistakes_at_once(problems):
    text = agent("    cores: two\n    onboot: yes\n    mounts: [{host: /etc, guest: /}]\n").replace("u@pve!tok", "u")
    text += "  99: {node: m}\nextra: 1\n"
    found = {problem.path for problem in problems(text)}
    assert found >= {
        "agents.118.cores",
        "agents.118.onboot",
        "agents.118.mounts[0].host",
        "agents.118.mounts[0].guest",
        "nodes.n.token",
        "agents.99",
        "agents.99.node",
        "agents.99.hostname",
        "extra",
    }


def test_a_mistake_in_defaults_is_told_once_for_many_agents(problems):
    agents = "".join(f"  {vmid}: {{node: n, hostname: h{vmid}, network: {{bridge: b}}}}\n" for vmid in range(118, 125))
    found = problems(HEAD + "agents:\n" + agents + "defaults: {cores: none at all}\n")
    assert [problem.path for problem in found] == ["defaults.cores"]


def test_what_the_message_looks_like(problems, tmp_path):
    (problem,) = problems(agent("    cores: two\n"))
    file = tmp_path / "inventory.yaml"
    assert str(problem) == (
        f"{file}:9:12: agents.118.cores: text stands here instead of a whole number\n    allowed: a whole number"
    )


def test_aliases_of_aliases_do_not_fill_the_memory(problems):
    text = "x0: &x0 [a, b, c, d, e, f, g, h, i, j]\n"
    text += "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert [problem.message for problem in problems(text)].count("aliases make the file too large") == 1


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: \x01", "no YAML file may hold"),
        (b"[" * 5000, "nested too deeply"),
    ],
)
def test_files_that_are_none(tmp_path, content, word):
    from proxhermes.inventory import load
    from proxhermes.inventory.problems import InventoryError

    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InventoryError, match=word):
        load(path, {})
    with pytest.raises(InventoryError, match="no such file"):
        load(tmp_path / "missing.yaml", {})
    with pytest.raises(InventoryError, match="cannot be read"):
        load(tmp_path, {})
