"""What a right inventory becomes: defaults, merging, the environment, where it is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxhermes.errors import UsageError
from proxhermes.inventory import find, load
from proxhermes.inventory.tree import Report, Spot, Tree, merge
from proxhermes.inventory.tree import read as read_tree

NODE = (
    "    api: https://192.168.1.10:8006\n    token: hermes@pve!proxhermes\n    token_secret: {env: PVE_TOKEN_SECRET}\n"
)


def test_the_smallest_has_the_designs_defaults(read):
    agent = read().agents[118]
    assert (agent.vmid, agent.cores, agent.memory, agent.swap) == (118, 2, 4096, 512)
    assert (agent.disk.storage, agent.disk.size) == ("local-lvm", 24)
    assert (agent.template, agent.template_storage) == ("debian-13", "local")
    assert agent.network.ip == "dhcp"
    assert agent.network.gateway is None
    assert agent.features.nesting
    assert agent.features.keyctl
    assert agent.onboot
    assert not agent.protection
    assert agent.tags == ("agent", "ai")
    assert agent.runtime.image == "nousresearch/hermes-agent"
    assert (agent.runtime.restart, agent.runtime.shm_size, agent.runtime.ports) == ("unless-stopped", "1g", ())
    assert agent.engine.source == "auto"
    assert agent.litellm.model == "claude-sonnet"
    assert [(mount.host, mount.guest, mount.owner) for mount in agent.mounts] == [
        ("/mnt/pve/hdd/hermes", "/data", "agent"),
        ("/media/2tb/hermes", "/fast", "agent"),
    ]
    assert agent.messaging.telegram is None


def test_the_root_shell_is_on_the_apis_host_by_default(read, smallest):
    node = read().nodes["gihyeon"]
    assert (node.ssh.host, node.ssh.user, node.ssh.port) == ("192.168.1.10", "root", 22)
    assert (node.api_host, node.api_port, node.user, node.token_name) == (
        "192.168.1.10",
        8006,
        "hermes@pve",
        "proxhermes",
    )
    other = read(smallest.replace("    token:", "    ssh: {host: gate.lan, port: 2222}\n    token:"))
    assert (other.nodes["gihyeon"].ssh.host, other.nodes["gihyeon"].ssh.port) == ("gate.lan", 2222)


@pytest.mark.parametrize("written", ["https://h:8006/", "https://h:8006/api2/json", "https://h:8006/api2/json/"])
def test_the_apis_url_in_its_usual_forms(read, smallest, written):
    assert read(smallest.replace("https://192.168.1.10:8006", written)).nodes["gihyeon"].api == "https://h:8006"


def test_paths_of_local_files_start_at_the_inventorys_folder(read, smallest, tmp_path):
    text = smallest.replace("    token:", "    tls: {ca_file: ca.pem}\n    ssh: {key_file: ~/k}\n    token:")
    node = read(text).nodes["gihyeon"]
    assert node.tls.ca_file == str(tmp_path / "ca.pem")
    assert node.ssh.key_file == str(Path.home() / "k")


@pytest.mark.parametrize(
    ("owner", "ids"),
    [("agent", (10000, 10000)), ("root", (0, 0)), ("1000", (1000, 1000)), ('"1000:33"', (1000, 33)), ("0:7", (0, 7))],
)
def test_owners(read, smallest, owner, ids):
    agent = read(smallest.replace("guest: /data}", f"guest: /data, owner: {owner}}}")).agents[118]
    assert agent.owner_ids(agent.mounts[0]) == ids


def test_short_forms(read, smallest):
    extra = """\
    nameserver: 10.1.10.1
    searchdomain: [lan, example.org]
    tags: [Zebra, ai, ai]
    messaging:
      telegram: {token: {env: T}, allowed_users: [123, "@name"], home_channel: -100123}
"""
    agent = read(smallest + extra).agents[118]
    assert agent.nameserver == ("10.1.10.1",)
    assert agent.searchdomain == ("lan", "example.org")
    assert agent.tags == ("ai", "zebra")
    assert agent.messaging.telegram.allowed_users == ("123", "@name")
    assert agent.messaging.telegram.home_channel == "-100123"


def test_a_bot_api_server_of_ones_own_has_its_files_beside(read, smallest):
    text = smallest + "    messaging: {telegram: {token: {env: T}, base_url: http://h:8081/bot}}\n"
    assert read(text).agents[118].messaging.telegram.base_file_url == "http://h:8081/file/bot"


def test_defaults_lie_beneath_every_agent(read, smallest):
    text = smallest + (
        "  119: {hostname: two, node: gihyeon, mounts: [], network: {vlan: 7}, disk: {size: 8}, pool: null,\n"
        "        litellm: {model: other, api_key: {file: key}}}\n"
        "defaults: {pool: ai, cores: 4, disk: {storage: fast, size: 10}, network: {bridge: vmbr0, firewall: true},\n"
        "           mounts: [{host: /mnt/x/y, guest: /y}]}\n"
    )
    agents = read(text).agents
    assert agents[118].pool == "ai"
    assert agents[118].network.bridge == "intra01"
    assert agents[118].network.firewall
    assert len(agents[118].mounts) == 2
    second = agents[119]
    assert (second.pool, second.cores, second.mounts) == (None, 4, ())
    assert (second.disk.storage, second.disk.size) == ("fast", 8)
    assert (second.network.bridge, second.network.vlan, second.network.firewall) == ("vmbr0", 7, True)
    assert second.litellm.base_url == "http://10.1.10.22:4000/v1"
    assert second.litellm.model == "other"
    assert str(second.litellm.api_key) == "{file: key}", "a reference replaces a reference as a whole"


def test_anchors_and_merge_keys_work(read, smallest):
    text = smallest.replace("    network: {bridge: intra01}\n", "    network: &net {bridge: intra01, vlan: 3}\n")
    text += "  119: {hostname: two, node: gihyeon, network: {<<: *net, vlan: 4}}\n"
    agents = read(text).agents
    assert (agents[119].network.bridge, agents[119].network.vlan) == ("intra01", 4)


def test_an_agent_of_nothing_but_defaults(read, smallest):
    head, _, body = smallest.partition("agents:\n  118:\n")
    text = head + "defaults:\n" + body.replace("\n    ", "\n  ")[2:] + "agents:\n  118:\n"
    assert read(text).agents[118].hostname == "hermes"


# --- the environment ---------------------------------------------------------------------------------------------


def test_the_environment_fills_in_a_single_node(read, smallest):
    environ = {"PROXMOX_VE_ENDPOINT": "https://pve.lan:8006/", "PROXMOX_VE_API_TOKEN": "a@pve!bb=0123-secret-part"}
    node = read(smallest.replace("  gihyeon:\n" + NODE, "  gihyeon:\n"), environ).nodes["gihyeon"]
    assert (node.api, node.token, node.ssh.host) == ("https://pve.lan:8006", "a@pve!bb", "pve.lan")
    assert node.token_secret.resolve().reveal() == "0123-secret-part"


def test_ansibles_names_work_too(read, smallest):
    environ = {
        "PROXMOX_HOST": "pve.lan",
        "PROXMOX_USER": "a@pve",
        "PROXMOX_TOKEN_ID": "bcd",
        "PROXMOX_TOKEN_SECRET": "0123-secret",
    }
    text = smallest.replace(NODE, "")
    node = read(text, environ).nodes["gihyeon"]
    assert (node.api, node.token) == ("https://pve.lan:8006", "a@pve!bcd")
    assert node.token_secret.resolve().reveal() == "0123-secret"
    assert read(text, {**environ, "PROXMOX_PORT": "443"}).nodes["gihyeon"].api == "https://pve.lan:443"


def test_what_is_written_is_not_overridden(read):
    environ = {"PROXMOX_VE_ENDPOINT": "https://other:8006", "PROXMOX_VE_API_TOKEN": "x@pve!yy=secret"}
    node = read(environ=environ).nodes["gihyeon"]
    assert (node.api, node.token, node.token_secret.env) == (
        "https://192.168.1.10:8006",
        "hermes@pve!proxhermes",
        "PVE_TOKEN_SECRET",
    )


def test_a_secret_is_not_taken_for_another_token(problems, smallest):
    text = smallest.replace("    token_secret: {env: PVE_TOKEN_SECRET}\n", "")
    (problem,) = problems(text, {"PROXMOX_VE_API_TOKEN": "someone@pve!else=secret"})
    assert problem.path == "nodes.gihyeon.token_secret"


def test_two_nodes_are_not_filled_in(problems, smallest):
    text = smallest.replace(NODE, "").replace("  gihyeon:\n", "  gihyeon:\n  other:\n")
    found = problems(text, {"PROXMOX_VE_ENDPOINT": "https://h:8006", "PROXMOX_VE_API_TOKEN": "a@pve!bc=d"})
    assert {problem.path for problem in found} >= {"nodes.gihyeon.api", "nodes.other.api"}


def test_a_wrong_variable_is_named(problems, smallest):
    text = smallest.replace("    api: https://192.168.1.10:8006\n", "")
    (problem,) = problems(text, {"PROXMOX_VE_ENDPOINT": "pve.lan"})
    assert "PROXMOX_VE_ENDPOINT" in problem.message
    assert (problem.path, problem.line) == ("nodes.gihyeon.api", 3)


# --- where it is found -------------------------------------------------------------------------------------------


def test_the_order_in_which_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path / "home")}
    with pytest.raises(UsageError, match="there is no inventory"):
        find(None, environ)
    own = tmp_path / "home" / ".config" / "proxhermes" / "inventory.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find(None, environ) == own
    Path("inventory.yaml").touch()
    assert find(None, environ) == Path("inventory.yaml")
    assert find(None, {**environ, "PROXHERMES_INVENTORY": "/a/b.yaml"}) == Path("/a/b.yaml")
    assert find(Path("c.yaml"), {**environ, "PROXHERMES_INVENTORY": "/a/b.yaml"}) == Path("c.yaml")


def test_the_example_is_right_and_warns_of_nothing():
    example = Path(__file__).parents[3] / "inventory.example.yaml"
    inventory = load(example, {})
    assert list(inventory.agents) == [118]
    assert inventory.warnings == ()


def test_warnings(read, smallest):
    text = smallest.replace("    token:", "    tls: {insecure: true}\n    token:")
    text = text.replace("{bridge: intra01}", "{bridge: intra01, ip: 10.1.10.5/24}")
    text += "    messaging: {telegram: {token: {env: T}}}\n"
    text += "  119: {hostname: hermes, node: gihyeon, network: {bridge: intra01}, "
    text += "messaging: {telegram: {token: {env: T}}}}\n"
    told = [warning.message for warning in read(text).warnings]
    assert len(told) == 4
    for word in ("read the token", "without a gateway", "same host name", "same bot"):
        assert any(word in message for message in told)


def test_warnings_about_secrets(read, smallest):
    text = smallest + (
        "    hermes:\n      environment: {X: a}\n      secrets: {X: {env: X}}\n"
        "      mcp_servers: {lab: {url: 'http://h'}}\n      settings: {mcp_servers: {more: {url: 'http://h'}}}\n"
        "      mcp_tokens: {lab: {token: a}, more: {token: a}, lbb: {token: a}}\n"
    )
    told = {warning.path: warning.message for warning in read(text).warnings}
    assert told == {
        "agents.118.hermes.environment.X": "X stands in `secrets` too, which wins",
        "agents.118.hermes.mcp_tokens.lbb": "a login for lbb, and `mcp_servers` has no such server",
    }


# --- merging, for any tree ---------------------------------------------------------------------------------------

_keys = st.sampled_from(["a", "b", "c", "env", "file"])
_leaves = st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=3))
_plain = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)


def tree_of(value: object, line: int) -> Tree:
    spot = Spot(line, 1, ())
    if isinstance(value, dict):
        return Tree({key: tree_of(child, line) for key, child in value.items()}, spot, spot)
    if isinstance(value, list):
        return Tree([tree_of(child, line) for child in value], spot, spot)
    assert value is None or isinstance(value, str | int | float | bool)
    return Tree(value, spot, spot)


def expected_merge(beneath: object, above: object) -> object:
    """The rule, written once more and without places."""
    if not (isinstance(beneath, dict) and isinstance(above, dict)):
        return above
    if all(len(side) == 1 and set(side) <= {"env", "file", "command"} for side in (beneath, above)):
        return above
    return {
        key: expected_merge(beneath[key], above[key])
        if key in beneath and key in above
        else above.get(key, beneath.get(key))
        for key in {**beneath, **above}
    }


@given(_plain, _plain)
def test_merging_joins_blocks_and_replaces_the_rest(beneath, above):
    assert merge(tree_of(beneath, 1), tree_of(above, 2)).plain() == expected_merge(beneath, above)


@given(_plain, _plain)
def test_merging_keeps_every_leafs_place(beneath, above):
    def leaves(tree: Tree, path: tuple[str, ...]):
        for key, child in tree.children.items():
            yield from leaves(child, (*path, key))
        if not isinstance(tree.value, dict):
            yield path, tree

    lower, upper = tree_of(beneath, 1), tree_of(above, 2)
    for path, leaf in leaves(merge(lower, upper), ()):
        origin = upper if leaf.spot.line == 2 else lower
        assert origin.at(*path) == leaf


@given(st.dictionaries(_keys, st.dictionaries(_keys, st.integers(-(10**17), 10**17), min_size=1), min_size=1))
def test_places_are_where_the_text_stands(data):
    lines = [line for key, block in data.items() for line in (f"{key}:", *(f"   {k}:  {v}" for k, v in block.items()))]
    report = Report("x")
    tree = read_tree("\n".join(lines), report)
    assert tree is not None
    assert tree.plain() == data
    assert not report.problems
    for key, block in data.items():
        for name, value in block.items():
            leaf = tree.at(key, name)
            assert leaf is not None
            text = lines[leaf.spot.line - 1]
            assert text[leaf.spot.column - 1 :] == str(value)
            assert text[leaf.key.column - 1 :].startswith(f"{name}:")
            assert leaf.spot.path == (key, name)
