"""Proxmox's side of a new node, done with its own tools: storages, a user with a token, and CT 117 with LiteLLM."""

from __future__ import annotations

import json

from proxhermes.lab.images import appliances, litellm
from proxhermes.lab.images.cache import Cache
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.paths import (
    BRIDGE,
    BRIDGE_ADDRESS,
    LITELLM_ADDRESS,
    LITELLM_HWADDR,
    LITELLM_VMID,
)
from proxhermes.lab.node.process import wait_until
from proxhermes.lab.node.service_table import UPSTREAM_PORT

STORAGE_CFG = """\
dir: local
	path /var/lib/vz
	content iso,vztmpl,backup

lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images

dir: hdd
	path /mnt/pve/hdd
	content rootdir,images,backup
	is_mountpoint 1

dir: media
	path /media/2tb
	content images,backup
"""

ROLE = "Proxhermes"
USER = "hermes@pve"
TOKEN = "proxhermes"  # noqa: S105 - a name, not a secret
PRIVILEGES = (
    "VM.Allocate", "VM.Audit", "VM.Config.CPU", "VM.Config.Disk", "VM.Config.Memory", "VM.Config.Network",
    "VM.Config.Options", "VM.PowerMgmt", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
    "SDN.Use",
)  # fmt: skip
PLACES = ("/vms", "/storage/local", "/storage/local-lvm", f"/sdn/zones/localnetwork/{BRIDGE}")
LIVE = f"http://{LITELLM_ADDRESS}:4000/health/liveliness"


def make_token(lab: Lab) -> str:
    """A user with the rights that proxhermes needs and no more, and its token; returns the token's secret."""
    lab.run(["pveum", "role", "add", ROLE, "--privs", " ".join(PRIVILEGES)])
    lab.run(["pveum", "user", "add", USER, "--comment", "for proxhermes"])
    add = ["pveum", "user", "token", "add", USER, TOKEN, "--privsep", "0", "--output-format", "json"]
    secret = str(json.loads(lab.run(add).stdout)["value"])
    for place in PLACES:
        lab.run(["pveum", "acl", "modify", place, "--users", USER, "--roles", ROLE])
    return secret


def update_templates(lab: Lab) -> bool:
    """Bring the node's appliance index up to what the appliance server has; False when it could not be fetched."""
    appliances.build_index(Cache(), lambda _: None)
    return lab.run(["pveam", "update"]).stdout == "update successful\n"


def make_litellm(lab: Lab) -> None:
    """Create and start CT 117 and give LiteLLM its configuration; it is live some seconds later."""
    vmid = str(LITELLM_VMID)
    network = f"name=eth0,bridge={BRIDGE},hwaddr={LITELLM_HWADDR},ip=dhcp"
    lab.run([
        "pct", "create", vmid, f"local:vztmpl/{litellm.NAME}", "--hostname", "litellm", "--unprivileged", "1",
        "--features", "nesting=1", "--cores", "2", "--memory", "2048", "--swap", "512", "--rootfs", "local-lvm:4",
        "--net0", network, "--onboot", "1", "--tags", "ai;community-script",
    ])  # fmt: skip
    lab.run(["pct", "start", vmid])
    master_key = (lab.client / "litellm.key").read_text().strip()
    config = litellm.render_config(f"http://{BRIDGE_ADDRESS}:{UPSTREAM_PORT}/v1")
    for file, text, mode in (
        (litellm.CONFIG_FILE, config, "0644"),
        (litellm.ENVIRONMENT_FILE, litellm.render_environment(master_key), "0600"),
    ):
        lab.guest(LITELLM_VMID, ["mkdir", "-p", file.rpartition("/")[0]])
        lab.run(["pct", "push", vmid, "/dev/stdin", file, "--perms", mode], stdin=text)
    # On a machine that is busy, its systemd may not have got as far as to listen.
    start = ["systemctl", "start", "--no-block", "litellm.service"]
    wait_until(
        lambda: lab.guest(LITELLM_VMID, start, check=False).returncode == 0,
        f"CT {LITELLM_VMID}: systemd taking orders",
        seconds=60,
    )


def running(lab: Lab, vmid: int) -> bool:
    """Whether that container runs."""
    said = lab.run(["lxc-info", "-n", str(vmid), "-s", "-H"], check=False).stdout
    return said.strip() == "RUNNING"


def await_litellm(lab: Lab, seconds: float = 90) -> None:
    """Wait until LiteLLM is live. LabError with its address when it is not after `seconds`."""
    lab.inside("await", LIVE, str(seconds), timeout=seconds + 30)
