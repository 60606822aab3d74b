"""An image in its registry: where it is asked for, and what the answers mean, for which nobody vouches. Pure.

The forms are those of the specifications of OCI (image-spec 1.1, distribution-spec 1.1) and of Docker's manifests 2.2.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxhermes.errors import ProxhermesError
from proxhermes.hermes import registry
from proxhermes.hermes.package import image_parts

MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
"""What is accepted in the place of a manifest."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9:.+Z-]{1,40}")
_ALIASES: Final = ("docker.io", "index.docker.io", registry.HUB)


class Unanswered(ProxhermesError):
    """A registry said nothing, or what means nothing."""


@dataclass(frozen=True, slots=True)
class Name:
    """An image's name, taken apart: `docker.io`, `library/debian`, and its tag and digest, empty where it has none."""

    registry: str
    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Build:
    """What a tag means: by digest, with the version that the image says it has, and the day that it was made."""

    digest: str
    version: str | None = None
    made: str | None = None


def parse(image: str) -> Name:
    """An image as the engines read its name. Docker Hub's own are below `library`."""
    full, tag, digest = image_parts(image)
    host, _, repository = full.partition("/")
    if host not in _ALIASES:
        return Name(host, repository, tag, digest)
    return Name("docker.io", repository if "/" in repository else f"library/{repository}", tag, digest)


def tagged(image: str) -> str:
    """The name as it is written, with the tag that it has or means."""
    tag = parse(image).tag
    return image if not tag or image.endswith(f":{tag}") else f"{image}:{tag}"


def bases(name: Name, mirrors: Iterable[str], plain: Iterable[str]) -> tuple[str, ...]:
    """The URLs that an engine asks for it, in this order. plain: registries that may be asked without TLS, too."""
    if name.registry == "docker.io":
        return (*(mirror.rstrip("/") for mirror in mirrors), f"https://{registry.HUB}")
    schemes = ("https", "http") if name.registry in plain else ("https",)
    return tuple(f"{scheme}://{name.registry}" for scheme in schemes)


def digests(name: Name, found: Iterable[str]) -> tuple[str, ...]:
    """Of digests as an engine lists them, NAME@sha256:…, those that are of the same repository."""
    named = map(parse, found)
    wanted = (name.registry, name.repository)
    return tuple(each.digest for each in named if (each.registry, each.repository) == wanted)


def digest(body: bytes) -> str:
    """The digest of what came."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def following(body: bytes, architecture: str) -> tuple[str, str]:
    """What a manifest leads to: of an index, the `manifests` of this architecture; of an image, the `blobs` of its
    configuration; with the digest. Raises Unanswered."""
    document = _object(body)
    index = document.get("manifests")
    if isinstance(index, list):
        named = (each for each in index if isinstance(each, dict) and _platform(each) == ("linux", architecture))
        folder, entry = "manifests", next(named, None)
        if entry is None:
            raise Unanswered(f"it has none for linux/{architecture}")
    else:
        folder, entry = "blobs", document.get("config")
    wanted = entry.get("digest") if isinstance(entry, dict) else None
    if not isinstance(wanted, str) or not _DIGEST.fullmatch(wanted):
        raise Unanswered("what came is not a manifest")
    return folder, wanted


def described(body: bytes) -> tuple[str | None, str | None]:
    """The version that an image's configuration says it has, and the day that it was made. Raises Unanswered."""
    document = _object(body)
    config = document.get("config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    version = labels.get("org.opencontainers.image.version") if isinstance(labels, dict) else None
    made = document.get("created")
    day = _TIME.fullmatch(made) if isinstance(made, str) else None
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None, day[1] if day else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unanswered("what came is not a JSON object")
    return document


def _platform(entry: dict[str, Any]) -> tuple[Any, Any]:
    platform = entry.get("platform")
    return (platform.get("os"), platform.get("architecture")) if isinstance(platform, dict) else (None, None)
