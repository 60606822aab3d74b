"""What the user wants, as types. The written form is described by `schema`, and read by `loader`.

Defaults are those of the design that proxhermes automates: a small unprivileged Debian container on `local-lvm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from proxhermes.inventory.fields import (
    ApiUrl,
    Fingerprint,
    Host,
    Hostname,
    HttpUrl,
    Jump,
    Model,
    ModelName,
    Nameservers,
    NodeName,
    PoolId,
    Port,
    PublicKeys,
    SearchDomains,
    Startup,
    StorageId,
    Tags,
    Template,
    Timezone,
    TokenId,
    UnixUser,
    mistake,
)
from proxhermes.inventory.guest import Guest
from proxhermes.inventory.hermes import Hermes
from proxhermes.inventory.local import LocalPath
from proxhermes.inventory.messaging import Messaging
from proxhermes.inventory.mounts import Mount
from proxhermes.inventory.network import AddressPools, Network
from proxhermes.inventory.runtime import DockerRuntime, Runtime
from proxhermes.inventory.secrets import SecretRef, SecretSource

LOWEST_VMID, HIGHEST_VMID = 100, 999_999_999  # PVE: pve-vmid
HERMES_SMALLEST_CONTEXT = 64_000
"""In tokens; below it Hermes refuses to start a conversation (Hermes 0.19: agent/model_metadata.py)."""


def _beside_inventory(value: str, info: ValidationInfo) -> str:
    """A local path: `~` is the user's home, a relative one starts at the inventory's folder."""
    folder = info.context.folder if isinstance(info.context, SecretSource) else Path()
    return str(folder / Path(value).expanduser())


class Tls(Model):
    """How the API's certificate is checked; with nothing here, against the system's trusted authorities."""

    fingerprint: Fingerprint | None = Field(default=None, description="SHA-256 fingerprint of the node's certificate.")
    ca_file: str | None = Field(
        default=None, description="File with the CA, as /etc/pve/pve-root-ca.pem; relative to the inventory."
    )
    insecure: bool = Field(default=False, description="Check nothing: anyone in between can read the token.")

    @field_validator("ca_file")
    @classmethod
    def _ca_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and _beside_inventory(value, info)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((self.fingerprint is not None, self.ca_file is not None, self.insecure)) > 1:
            raise mistake(
                "the certificate is checked in one way only", "one of `fingerprint`, `ca_file`, `insecure: true`"
            )
        return self


class Ssh(Model):
    """The root shell of a node, for what Proxmox grants to no token."""

    host: Host = Field(description="Name or address; the API's host by default.")
    user: UnixUser = Field(default="root", description="A user that may run pct: root.")
    port: Port = Field(default=22, description="Port of the SSH server.")
    key_file: str | None = Field(
        default=None, description="Private key; by default the agent's and the usual ones in ~/.ssh."
    )
    known_hosts: str | None = Field(default=None, description="File of known host keys; ~/.ssh/known_hosts by default.")
    jump: Jump | None = Field(default=None, description="Jump host on the way: [USER@]HOST[:PORT].")

    @field_validator("key_file", "known_hosts")
    @classmethod
    def _files(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and _beside_inventory(value, info)


class Node(Model):
    """A Proxmox VE node and the two doors to it: the API token and the root shell."""

    api: ApiUrl = Field(description="URL of the API, as in https://192.168.1.10:8006.")
    token: TokenId = Field(description="API token: USER@REALM!NAME.")
    token_secret: SecretRef = Field(description="The token's secret.")
    tls: Tls = Field(default_factory=Tls, description="How the API's certificate is checked.")
    ssh: Ssh = Field(description="The root shell; on the API's host by default.")

    @model_validator(mode="before")
    @classmethod
    def _shell_on_the_same_host(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("api"), str):
            return data
        ssh = data.get("ssh", {})
        if isinstance(ssh, dict) and "host" not in ssh:
            try:
                host = urlsplit(data["api"]).hostname
            except ValueError:
                host = None
            # Where the URL is wrong, the URL is the mistake to tell about.
            return {**data, "ssh": {"host": host or "unknown", **ssh}}
        return data

    @property
    def api_host(self) -> str:
        """The API's host, without brackets."""
        return urlsplit(self.api).hostname or ""

    @property
    def api_port(self) -> int:
        """The API's port; 443 where the URL names none."""
        return urlsplit(self.api).port or 443

    @property
    def user(self) -> str:
        """USER@REALM of the token."""
        return self.token.partition("!")[0]

    @property
    def token_name(self) -> str:
        """The token's name, without its user."""
        return self.token.partition("!")[2]


class LiteLLM(Model):
    """The LiteLLM proxy that answers for the models."""

    base_url: HttpUrl = Field(description="Its OpenAI-compatible URL, as in http://10.1.10.22:4000/v1.")
    api_key: SecretRef = Field(description="A virtual key, or the master key.")
    model: ModelName = Field(description="The model's name as LiteLLM exposes it.")
    ca_file: LocalPath | None = Field(
        default=None,
        description="Certificates in PEM that its https is checked against, in the place of the system's.",
        examples=["ca/litellm.pem"],
    )
    context_length: int | None = Field(
        default=None,
        ge=HERMES_SMALLEST_CONTEXT,
        description="The model's context in tokens, where LiteLLM does not tell; Hermes needs at least 64000.",
    )


class Disk(Model):
    """The container's root disk."""

    storage: StorageId = Field(default="local-lvm", description="Storage of the root disk.")
    size: int = Field(default=24, ge=1, le=131072, description="Size in GiB.")


class Features(Model):
    """Features of the unprivileged container; Docker in it needs both."""

    nesting: bool = Field(default=True, description="Containers within the container.")
    keyctl: bool = Field(default=True, description="The keyctl system call, set through the root shell: no token may.")


class Engine(Model):
    """The container engine in the guest."""

    source: Literal["auto", "distro", "docker-ce"] = Field(
        default="auto",
        description="The distribution's Docker where it brings compose v2, else Docker's own; or one of the two.",
    )
    registry_mirrors: Annotated[tuple[HttpUrl, ...], Field(strict=False)] = Field(
        default=(), description="Mirrors of Docker Hub."
    )
    log_driver: Literal["local", "json-file", "journald", "syslog", "none"] = Field(
        default="local", description="Log driver; `local` keeps a bounded log."
    )
    address_pools: AddressPools = Field(
        default=(),
        description="IPv4 networks out of which the engine takes all of its own; by default its own choice, as long as "
        "that covers nothing that the agent has to reach.",
        examples=[["10.201.0.0/16"]],
    )


class Agent(Model):
    """One agent, resolved: its container, its engine, its Hermes. `defaults:` and `litellm:` are merged in."""

    vmid: int = Field(ge=LOWEST_VMID, le=HIGHEST_VMID, description="The container's VMID: the key under `agents`.")
    node: NodeName = Field(description="The node it runs on: a key under `nodes`.")
    hostname: Hostname = Field(description="The container's host name.")
    litellm: LiteLLM = Field(description="What differs from the common `litellm:` for this agent.")
    network: Network = Field(description="Its network card.", examples=[{"bridge": "vmbr0"}])
    template: Template = Field(
        default="debian-13", description="Template: a family, of which the newest is taken, or a volume."
    )
    template_storage: StorageId = Field(default="local", description="Storage of the templates.")
    cores: int = Field(default=2, ge=1, le=8192, description="CPU cores.")
    memory: int = Field(default=4096, ge=512, description="Memory in MiB.")
    swap: int = Field(default=512, ge=0, description="Swap in MiB.")
    disk: Disk = Field(default_factory=Disk, description="Its root disk.", examples=[{"size": 24}])
    onboot: bool = Field(default=True, description="Start it when the node boots.")
    startup: Startup | None = Field(
        default=None, description="Its place in the node's start-up order: order=N,up=S,down=S."
    )
    timezone: Timezone = Field(default="host", description="Time zone; `host` is the node's.")
    nameserver: Nameservers = Field(default=(), description="DNS servers; the node's by default.")
    searchdomain: SearchDomains = Field(default=(), description="DNS search domains; the node's by default.")
    pool: PoolId | None = Field(default=None, description="Proxmox pool that it is made in; set once.")
    ssh_public_keys: PublicKeys = Field(
        default=(), description="Public keys that root in the container is made with; set once."
    )
    protection: bool = Field(default=False, description="Proxmox refuses to remove the container or its disks.")
    features: Features = Field(default_factory=Features, description="Container features.")
    tags: Tags = Field(
        default=("agent", "ai"), description="Tags beside the marker `proxhermes`, which is always there."
    )
    mounts: Annotated[tuple[Mount, ...], Field(strict=False)] = Field(
        default=(),
        max_length=256,
        description="Folders of the node that the agent uses. A list here replaces one in `defaults`.",
        examples=[[{"host": "/mnt/pve/hdd/hermes", "guest": "/data"}]],
    )
    guest: Guest = Field(
        default_factory=Guest,
        description="How the container's own system gets out.",
        examples=[{"http_proxy": "http://10.1.10.1:3128"}],
    )
    engine: Engine = Field(default_factory=Engine, description="The container engine, Docker or Podman.")
    runtime: Runtime = Field(
        default_factory=DockerRuntime,
        description="How the agent runs in its container.",
        examples=[{"type": "native"}],
    )
    hermes: Hermes = Field(default_factory=Hermes, description="The agent's own settings.")
    messaging: Messaging = Field(default_factory=Messaging, description="Messaging platforms.")

    @property
    def profile(self) -> str:
        """Name of the profile of Hermes that this is about; empty for the agent itself."""
        return ""

    @property
    def served(self) -> bool:
        """Whether the gateway answers for it."""
        return True

    @property
    def laid_out(self) -> bool:
        """Whether its home is made as an agent's is; the one of a profile that left the inventory is left as it is."""
        return True

    @property
    def option(self) -> str:
        """The inventory's key of its `hermes` block, for messages."""
        return f"agents.{self.vmid}.hermes"

    def owner_ids(self, mount: Mount) -> tuple[int, int]:
        """uid and gid, as the container sees them, that the mount's folder should have."""
        return mount.guest_ids(self.hermes.uid, self.hermes.gid)


class Document(Model):
    """The file as a whole, for its schema: agents and defaults are checked once they are merged."""

    version: Literal[1] = Field(description="Version of the inventory's format.")
    nodes: Mapping[NodeName, Node] = Field(description="The Proxmox VE nodes, by name.")
    litellm: LiteLLM | None = Field(default=None, description="The LiteLLM proxy of all agents.")
    defaults: Mapping[str, JsonValue] = Field(default_factory=dict, description="Merged beneath every agent.")
    agents: Mapping[str, JsonValue] = Field(description="The agents, by VMID.")


__all__ = [
    "HIGHEST_VMID", "LOWEST_VMID", "Agent", "Disk", "Document", "Engine", "Features", "Guest", "Hermes", "LiteLLM",
    "Messaging", "Mount", "Network", "Node", "Ssh", "Tls",
]  # fmt: skip
