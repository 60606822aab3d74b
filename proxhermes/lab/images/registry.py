"""The node's OCI registry (Debian's docker-registry), its storage in the cache, so that an image is pushed once."""

from __future__ import annotations

import json
from pathlib import Path

from proxhermes.lab.images.cache import Cache
from proxhermes.lab.images.service import Service

PROGRAM = "/usr/bin/docker-registry"
PORT = 5000


def render_config(storage: Path, address: str) -> str:
    """The registry's configuration (YAML, of which JSON is a part).

    :param address: HOST:PORT to listen on
    """
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(storage)},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": address},
        },
        indent=2,
    )


def service(cache: Cache, host: str, config_dir: Path, port: int = PORT) -> Service:
    """The registry on `host`, plain HTTP.

    :param config_dir: an existing folder of the caller's for the configuration file
    """
    config = config_dir / "registry.yml"
    return Service(
        name="registry",
        argv=(PROGRAM, "serve", str(config)),
        ready_url=f"http://{host}:{port}/v2/",
        files={config: render_config(cache.registry, f"{host}:{port}")},
    )
