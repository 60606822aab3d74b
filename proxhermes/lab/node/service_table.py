"""The node's services: what is started, with which files, and how each shows that it is up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from proxhermes.lab.images import downloads, mcp, registry
from proxhermes.lab.images.cache import Cache
from proxhermes.lab.images.service import Service as BuiltService
from proxhermes.lab.node.paths import (
    BRIDGE,
    BRIDGE_ADDRESS,
    CACHE_ROOT,
    LITELLM_ADDRESS,
    LITELLM_HWADDR,
    LabPaths,
)  # fmt: skip
from proxhermes.lab.node.secrets_made import HOST_KEY_TYPES
from proxhermes.lab.node.services import Service

API_PORT = 8006
UPSTREAM_PORT = 9100
TELEGRAM_PORT = 8081
APPLIANCE_PORT = 8082
DOWNLOAD_PORT = 8083
#: By generation of the SDK: the server behind a token, and the one behind OAuth.
MCP_PORTS: Final = {1: (9101, 9102), 2: (9103, 9104)}


def table(paths: LabPaths) -> tuple[Service, ...]:
    """All services in the order in which they are started; none waits for another's start."""
    cache = Cache(CACHE_ROOT)
    cache.registry.mkdir(parents=True, exist_ok=True)
    return (
        dnsmasq(paths),
        sshd(paths),
        api(),
        upstream(paths),
        telegram(paths),
        *(mcp_servers(paths, cache, generation) for generation in MCP_PORTS),
        # What download.proxmox.com is to a real node: the templates that its appliance index names.
        file_server("appliances", APPLIANCE_PORT, cache.templates),
        file_server("downloads", DOWNLOAD_PORT, downloads.folder(cache)),
        _adopt(registry.service(cache, BRIDGE_ADDRESS, paths.config)),
    )


def dnsmasq(paths: LabPaths) -> Service:
    """DHCP and names for the bridge; forwards to the machine's own name servers. LiteLLM's container has a fixed place.

    It answers DHCP at once: in a net of its own it need not look whether somebody else has the address.
    """
    lines = [
        f"interface={BRIDGE}",
        "bind-interfaces",
        "no-resolv",
        *(f"server={server}" for server in paths.resolvers_file.read_text().split()),
        "dhcp-range=10.1.10.100,10.1.10.199,12h",
        f"dhcp-host={LITELLM_HWADDR},{LITELLM_ADDRESS}",
        f"dhcp-leasefile={paths.state / 'leases'}",
        "dhcp-authoritative",
        "dhcp-rapid-commit",
        "no-ping",
        "user=root",
        "pid-file=",
    ]
    config = paths.config / "dnsmasq.conf"
    return Service(
        name="dnsmasq",
        argv=("/usr/sbin/dnsmasq", "--keep-in-foreground", "--log-facility=-", f"--conf-file={config}"),
        ready=f"tcp://{BRIDGE_ADDRESS}:53",
        files={config: "\n".join(lines) + "\n"},
    )


def sshd(paths: LabPaths) -> Service:
    """Debian's sshd with the lab's own host keys; root by key only."""
    lines = [
        "Port 22",
        *(f"HostKey {paths.secrets / f'ssh_host_{kind}_key'}" for kind in HOST_KEY_TYPES),
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM yes",
        "PrintMotd no",
        "PidFile none",
        "UseDNS no",
        "MaxStartups 100",
        "AcceptEnv LANG LC_*",
        "Subsystem sftp internal-sftp",
    ]
    config = paths.config / "sshd_config"
    return Service(
        name="sshd",
        argv=("/usr/sbin/sshd", "-D", "-e", "-f", str(config)),
        ready="tcp://127.0.0.1:22",
        files={config: "\n".join(lines) + "\n"},
    )


def api() -> Service:
    """The node's HTTPS API."""
    return Service(
        name="api",
        argv=(sys.executable, "-m", "proxhermes.lab.pve.server", "--port", str(API_PORT)),
        ready=f"https://127.0.0.1:{API_PORT}/api2/json/access/domains",
    )


def upstream(paths: LabPaths) -> Service:
    """The scripted model behind LiteLLM. On all addresses, so that a story told outside can ask what it was asked."""
    listen = ("--listen", f"0.0.0.0:{UPSTREAM_PORT}", "--log", str(paths.logs / "upstream.jsonl"))
    return Service(
        name="upstream",
        argv=(sys.executable, "-m", "proxhermes.lab.mocks.upstream", *listen),
        ready=f"http://127.0.0.1:{UPSTREAM_PORT}/requests",
    )


def telegram(paths: LabPaths) -> Service:
    """The stand-in for Telegram; under /control a story told outside speaks to the bot."""
    listen = ("--listen", f"0.0.0.0:{TELEGRAM_PORT}", "--token-file", str(paths.client / "telegram.token"))
    return Service(
        name="telegram",
        argv=(sys.executable, "-m", "proxhermes.lab.mocks.telegram", *listen),
        ready=f"http://127.0.0.1:{TELEGRAM_PORT}/control/state",
    )


def mcp_servers(paths: LabPaths, cache: Cache, generation: int) -> Service:
    """Two MCP servers over HTTP, for guests under the bridge's address: one behind a token, one behind OAuth."""
    port, oauth_port = MCP_PORTS[generation]
    listen = ("--host", "0.0.0.0", "--port", str(port), "--oauth-port", str(oauth_port))
    who = ("--token-file", str(paths.client / "mcp.token"), "--oauth-url", f"http://{BRIDGE_ADDRESS}:{oauth_port}")
    return Service(
        name=f"mcp-{generation}",
        argv=(str(mcp.python(cache, generation)), str(mcp.SERVERS / "service.py"), *listen, *who),
        ready=f"http://127.0.0.1:{oauth_port}/record",
    )


def file_server(name: str, port: int, folder: Path) -> Service:
    """A folder over HTTP, for the node and its guests."""
    server = (sys.executable, "-m", "http.server", str(port), "--bind", BRIDGE_ADDRESS)
    return Service(
        name=name,
        argv=(*server, "--directory", str(folder)),
        ready=f"http://{BRIDGE_ADDRESS}:{port}/",
    )


def _adopt(service: BuiltService) -> Service:
    return Service(service.name, tuple(service.argv), service.ready_url, service.files)
