"""The node's apt proxy (apt-cacher-ng), its storage in the cache: what one guest fetched, the next has at once."""

from __future__ import annotations

from pathlib import Path

from proxhermes.lab.images.cache import Cache
from proxhermes.lab.images.service import Service

PORT = 3142
PROGRAM = "/usr/sbin/apt-cacher-ng"


def render_config(storage: Path, log_dir: Path, host: str, port: int = PORT, upstream_proxy: str = "") -> str:
    """The proxy's configuration file.

    :param upstream_proxy: URL of this machine's own HTTP proxy, if it has one
    """
    lines = {
        "CacheDir": storage,
        "LogDir": log_dir,
        "SupportDir": "/usr/lib/apt-cacher-ng",
        "BindAddress": host,
        "Port": port,
        "SocketPath": log_dir / "apt-cacher-ng.socket",
        "PidFile": log_dir / "apt-cacher-ng.pid",
        "ForeGround": 1,
        "Offlinemode": 0,
        "ExThreshold": 0,
        # Repositories that are reached over TLS go through unread.
        "PassThroughPattern": ".*",
        **({"Proxy": upstream_proxy} if upstream_proxy else {}),
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def service(cache: Cache, host: str, config_dir: Path, log_dir: Path, upstream_proxy: str = "") -> Service:
    """The apt proxy on `host`.

    :param config_dir: an existing, otherwise empty folder of the caller's (apt-cacher-ng reads every file in it)
    """
    return Service(
        name="apt-cache",
        argv=(PROGRAM, "-c", str(config_dir)),
        ready_url=f"http://{host}:{PORT}/",
        files={config_dir / "acng.conf": render_config(cache.apt, log_dir, host, upstream_proxy=upstream_proxy)},
    )
