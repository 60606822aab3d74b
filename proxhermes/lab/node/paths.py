"""Where a lab keeps what, and what its pieces are called. Pure: nothing here touches the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

STATE_ROOT = Path("/var/lib/proxhermes-lab")
CACHE_ROOT = Path("/var/cache/proxhermes-lab")
RUN_ROOT = Path("/run/proxhermes-lab")
"""What lives until the machine's next boot: locks, and the machine's own settings before the first lab changed them."""

NODE_NAME = "gihyeon"
BRIDGE = "intra01"
BRIDGE_ADDRESS = "10.1.10.1"
BRIDGE_NETWORK = "10.1.10.0/24"
LITELLM_VMID = 117
LITELLM_ADDRESS = "10.1.10.22"
LITELLM_HWADDR = "BC:24:11:10:01:17"


@dataclass(frozen=True, slots=True)
class Disk:
    """A data disk of the node: a sparse file, which costs what is written to it."""

    image: str
    label: str
    size: str
    mount_point: str


DISKS = (Disk("hdd.img", "hdd", "200G", "/mnt/pve/hdd"), Disk("2tb.img", "2tb", "100G", "/media/2tb"))

_INSTANCE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The folders and names of one instance (lower case letters, digits, hyphens, at most 20)."""

    instance: str

    def __post_init__(self) -> None:
        if not _INSTANCE.fullmatch(self.instance):
            raise ValueError(f"{self.instance!r} is no instance name: lower case letters, digits and hyphens, 1 to 20")

    @property
    def state(self) -> Path:
        """Everything of this instance; `down` removes it."""
        return STATE_ROOT / self.instance

    @property
    def slot_file(self) -> Path:
        """The instance's number, from which its addresses follow."""
        return self.state / "slot"

    @property
    def init_file(self) -> Path:
        """Pid and start time of the node's first process, written when the node stands."""
        return self.state / "init.json"

    @property
    def disks(self) -> Path:
        """Images of the node's data disks."""
        return self.state / "disks"

    @property
    def node(self) -> Path:
        """Folders that become parts of the node's file system."""
        return self.state / "node"

    @property
    def logs(self) -> Path:
        """One log file for each service."""
        return self.state / "log"

    @property
    def services(self) -> Path:
        """One JSON file (pid, start) for each service."""
        return self.state / "services"

    @property
    def secrets(self) -> Path:
        """Host keys, certificate key, LiteLLM's master key: 0700."""
        return self.state / "secrets"

    @property
    def client(self) -> Path:
        """What a client of the node needs: inventory, token, keys."""
        return self.state / "client"

    @property
    def config(self) -> Path:
        """Configuration files of the node's services."""
        return self.state / "config"

    @property
    def resolvers_file(self) -> Path:
        """The machine's name servers, to which the node's forwards: the node itself cannot see them any more."""
        return self.state / "resolvers"

    @property
    def ready_file(self) -> Path:
        """Written when `up` has done everything; without it the lab is half-built."""
        return self.state / "ready"

    @property
    def netns(self) -> str:
        """Name of the node's network namespace; iptables rules carry it as their comment."""
        return f"phlab-{self.instance}"

    @property
    def netns_file(self) -> Path:
        """Where that namespace is held."""
        return Path("/run/netns") / self.netns

    @property
    def cgroup(self) -> str:
        """Parent of the instance's container cgroups, relative to each hierarchy's root."""
        return f"phlab/{self.instance}"

    @property
    def lock(self) -> Path:
        """Held while this instance goes up or down."""
        return RUN_ROOT / f"{self.instance}.lock"


@dataclass(frozen=True, slots=True)
class Slot:
    """The number N (0 to 249) of a running instance and what follows from it."""

    number: int

    @property
    def veth(self) -> str:
        """The machine's end of the pair."""
        return f"phlab{self.number}"

    @property
    def network(self) -> str:
        """The net between machine and node."""
        return f"10.77.{self.number}.0/24"

    @property
    def host_address(self) -> str:
        """The machine's address on it."""
        return f"10.77.{self.number}.1"

    @property
    def node_address(self) -> str:
        """The node's address on it."""
        return f"10.77.{self.number}.2"
