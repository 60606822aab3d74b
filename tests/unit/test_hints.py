"""What the operator is told to do."""

from __future__ import annotations

import shlex

import pytest

from proxhermes import hints
from proxhermes.errors import ApiError, AuthError, CommandFailed, PermissionDenied, ProxhermesError, TaskFailed
from proxhermes.hints import hint_for

TOKEN = "hermes@pve!proxhermes"


def api(message: str, status: int = 500, doing: str = "") -> ApiError:
    return ApiError(message, status=status, doing=doing)


def task(message: str, vmid: int = 118) -> TaskFailed:
    upid = f"UPID:gihyeon:000065D0:0009D56E:6B00F2BD:vzstart:{vmid}:{TOKEN}:"
    return TaskFailed(f"the task failed: {message}", upid=upid, exitstatus=message, log=[f"TASK ERROR: {message}"])


def command(stderr: str) -> CommandFailed:
    return CommandFailed("`pct` on gihyeon failed with code 2", command="pct set 118", rc=2, stderr=stderr)


def denied(message: str) -> PermissionDenied:
    return PermissionDenied(f"Permission check failed ({message})", status=403)


# The messages are Proxmox' own, as recorded.
ADVICE = [
    (denied("mount point type bind is only allowed for root@pam"), "through the root shell"),
    (denied("changing feature flags (except nesting) is only allowed for root@pam"), "through the root shell"),
    (api("Only root may use this option.", 400), "through the root shell"),
    (api("Only root can pass arbitrary filesystem paths."), "STORAGE:vztmpl/FILE"),
    (api("can't lock file '/run/lock/lxc/pve-config-118.lock' - got timeout"), "working on the container 118"),
    (task("can't lock file '/run/lock/lxc/pve-config-118.lock' - got timeout"), "working on the container 118"),
    (api("detected modified configuration - file changed by other user? Try again."), "run again"),
    (api("CT 118 already exists on node 'other'"), "pct config 118"),
    (api("CT 118 already running"), "run the command again"),
    (api("can't remove CT 118 - protection mode enabled"), "protection: false"),
    (api("hostname lookup 'pve' failed - failed to get address info for: pve: Name or service not known"), "`nodes:`"),
    (api("no such cluster node 'other'"), "`nodes:`"),
    (api("Configuration file 'nodes/gihyeon/lxc/118.conf' does not exist"), "no container 118 on gihyeon"),
    (task("bridge 'vmbr9' does not exist"), "network.bridge"),
    (denied("pool 'agents' does not exist"), "pveum pool add agents"),
    (api("storage 'nostore' does not exist"), "no storage nostore"),
    (task("unable to create CT 118 - volume 'local:vztmpl/nosuch_1_amd64.tar.gz' does not exist"), "pveam list"),
    (api("unable to use volume local:iso/x.iso - content type needs to be 'vztmpl'"), "container template"),
    (api("storage 'nas' does not support templates"), "container template"),
    (api("storage: storage 'local' does not support container directories", 400), "disk.storage"),
    (api("mp1: unable to hotplug mp1: directory '/srv/x' does not exist", 400), "folder of a mount"),
    (api("unable to shrink disk size"), "disk.size"),
    (task("unable to create CT 118 - mkfs: No space left on device"), "pvesm status"),
    (task("startup for container '118' failed"), "pct start 118 --debug"),
    (command("newuidmap: uid range [1000-1001) -> [1000-1001) not allowed"), "/etc/subuid"),
    (
        task(
            "unable to create CT 118 - command 'lxc-usernsexec -m u:0:100000:65536 -- tar xpf - -z --totals' failed: "
            "exit code 2"
        ),
        "pvesm free",
    ),
    (task("download failed: exit code 8"), "pveam update"),
    (task("checksum mismatch: got '77b7' != expect '0000'"), "list of templates"),
    (command("bash: line 1: pct: command not found"), "without Proxmox VE"),
    (command("timeout: failed to run command ‘pct’: No such file or directory"), "without Proxmox VE"),
    (command("please run as root"), "must be root"),
    (api("cluster not ready - no quorum?"), "pvecm status"),
    (api("tls_process_server_certificate: certificate verify failed", 596), "pvecm updatecerts"),
    (api("Method 'GET /nodes/x/lxc/118/interfaces' not implemented", 501), "version 8 or 9"),
    (api("Bad Gateway", 502), "pveproxy"),
]


@pytest.mark.parametrize(("error", "advice"), ADVICE, ids=[str(error)[:40] for error, _ in ADVICE])
def test_what_proxmox_says_has_its_advice(error: ProxhermesError, advice: str) -> None:
    hint = hint_for(error)
    assert hint is not None and advice in hint
    assert "{" not in hint.replace("{fingerprint", "")


@pytest.mark.parametrize(
    ("lock", "said"),
    [("backup", "a backup of it is running"), ("snapshot-delete", "snapshot"), ("brandnew", "'brandnew'")],
)
def test_a_locked_container(lock: str, said: str) -> None:
    for error in (task(f"CT is locked ({lock})"), api(f"CT is locked ({lock})", doing="PUT /nodes/g/lxc/118/config")):
        hint = hint_for(error)
        assert hint is not None
        assert said in hint and "pct unlock 118" in hint and "Never while it runs" in hint


def test_who_knows_better_is_heard() -> None:
    assert hint_for(ProxhermesError("no space left on device", hint="buy a disk")) == "buy a disk"


def test_errors_of_our_own_and_strange_ones_get_no_strange_advice() -> None:
    assert hint_for(ProxhermesError("directory '/x' does not exist")) is None
    assert hint_for(ValueError("CT is locked (backup)")) is None
    assert hint_for(api("something new")) is None


def test_a_refused_token() -> None:
    hint = hints.refused_token(TOKEN, "Authentication failed!")
    assert "pveum user token list hermes@pve" in hint
    assert "pveum user token add hermes@pve proxhermes" in hint
    assert "--expire 0" in hints.refused_token(TOKEN, "token 'x' access expired")
    assert hint_for(AuthError("no", hint=hint)) == hint


def commands(hint: str | None) -> list[list[str]]:
    assert hint is not None
    return [shlex.split(line) for line in hint.splitlines() if line.startswith("  ")]


def test_a_missing_privilege_is_granted_to_the_user_and_the_token() -> None:
    role, acl = commands(hints.denied(TOKEN, "Permission check failed (/vms/118, VM.PowerMgmt)"))
    assert role[:5] == ["pveum", "role", "add", "Proxhermes", "--privs"]
    assert role[6:11] == ["||", "pveum", "role", "modify", "Proxhermes"]
    # A rule on /vms/118 hides the ones above it, so it brings all that is needed there.
    assert set(role[5].split(",")) == hints.GUEST_PRIVILEGES
    assert acl == [
        *("pveum", "acl", "modify", "/vms/118", "--roles", "Proxhermes"),
        *("--users", "hermes@pve", "--tokens", TOKEN),
    ]


@pytest.mark.parametrize(
    ("said", "privileges"),
    [
        ("/storage/local, Datastore.Audit|Datastore.AllocateSpace", {"Datastore.AllocateSpace"}),
        ("/storage/local, Datastore.AllocateTemplate", {"Datastore.AllocateSpace", "Datastore.AllocateTemplate"}),
        ("/sdn/zones/localnetwork/intra01, SDN.Use", {"SDN.Use"}),
        ("/nodes/gihyeon, Sys.Audit", {"Sys.Audit"}),
        ("/pool/agents, Pool.Allocate", {*hints.GUEST_PRIVILEGES, "Pool.Allocate"}),
    ],
)
def test_the_privileges_that_are_granted(said: str, privileges: set[str]) -> None:
    role, acl = commands(hints.denied(TOKEN, f"Permission check failed ({said})"))
    assert set(role[5].split(",")) == privileges
    assert acl[3] == said.partition(",")[0]


def test_root_takes_no_rule_of_its_own() -> None:
    assert "--users" not in hints.grant("root@pam!t1", {"/vms": ["VM.Audit"]})


def test_a_refused_create_names_no_path() -> None:
    hint = hints.denied(TOKEN, "Permission check failed")
    assert hint is not None and "VM.Allocate" in hint
    assert hints.denied(TOKEN, "Permission check failed (pool 'x' does not exist)") is None


def test_nothing_that_a_newer_proxmox_does_not_know_is_granted() -> None:
    assert "VM.Monitor" not in hints.GUEST_PRIVILEGES
