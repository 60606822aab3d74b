"""What is in the guest: the system, Docker, Hermes' files, its container, and LiteLLM as seen from there.

One round trip (`host_scripts/guest-facts.sh`). Its output holds the contents of .env, so it is parsed and dropped: it
is never shown, logged, or put into an exception.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from proxhermes import upstream
from proxhermes.errors import CommandFailed, DeadlineExceeded
from proxhermes.facts import skills, tree
from proxhermes.facts.frame import frame
from proxhermes.facts.skills import Fetched
from proxhermes.facts.tree import Seen
from proxhermes.hermes import registry, route
from proxhermes.hermes.files import UnusableFile
from proxhermes.hermes.litellm import Answer, Asked
from proxhermes.hermes.skills import SCRIPTS as SKILLS
from proxhermes.hermes.skills import bundle as skills_asked
from proxhermes.inventory import named
from proxhermes.inventory.models import Agent

if TYPE_CHECKING:
    from proxhermes.inventory.secrets import Secret
    from proxhermes.transport.pct import Guest

SCRIPT: Final = "guest-facts.sh"
TIMEOUT_S: Final = 120.0
_PROFILE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9_]{1,20}")
_REPO_DIGEST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}@sha256:[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"(?m)^(\d{1,3}(?:\.\d{1,3}){3})$")
_BY_PATH: Final = ("mount.", "place.")
"""Facts that have a path in their name."""


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder: owner's ids as the guest sees them, mode, and the content of a plain file."""

    uid: int
    gid: int
    mode: int
    kind: str  # as stat names it: "regular file", "directory", "symbolic link"
    content: bytes | None = field(default=None, repr=False)


class Place(StrEnum):
    """What is at a path that a folder may move to or from; FULL for anything but an empty folder."""

    NOTHING = "nothing"
    EMPTY = "empty"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Service:
    """The agent's service, whatever runs it. status: `running`, its own word for not running, or `nothing`.

    facts: what its runtime's own script tells besides, by the names that it uses (each a line `service.NAME=`).
    """

    status: str = "nothing"
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Docker:
    """The engine, or Podman. server is None where it does not answer; `error` is what it, or its client, said."""

    server: str | None = None
    driver: str | None = None
    compose: str | None = None
    enabled: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class DockerContainer:
    """The agent's Docker container. hash: of the compose service that it was made from; project: compose's.

    stop: how long the engine waits before it kills it, in seconds; None for the engine's own default.
    """

    image: str
    status: str
    project: str
    folder: str
    hash: str
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """All of it. health: the HTTP status of the gateway's own API, 0 where it does not answer.

    routes: where the guest's IPv4 goes, as (network, card). resolved: what the inventory's names stand for there.
    apt_mirror: what apt's sources were given last; apt_distribution: some of them are the distribution's own hosts.
    tree: the agent's files by label. places: what is at the paths of folders that may move. codes: each Hermes that is
    installed there, by the image's id or the version's. skills: those from git, by name.
    profiles: names of those that were given something. image_digests: by which registries know the image, each as
    NAME@sha256:…, with the name of where it came from; none for one that was built or loaded there.
    """

    os_id: str = ""
    os_version: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    dpkg_broken: bool = False
    mtu: int | None = None
    routes: tuple[tuple[str, str], ...] = ()
    resolved: tuple[str, ...] = ()
    apt_mirror: str = ""
    apt_distribution: bool = False
    docker: Docker | None = None
    podman: Docker | None = None
    image_id: str | None = None
    image_architecture: str = ""
    image_digests: tuple[str, ...] = ()
    container: DockerContainer | None = None
    compose_hash: str | None = None
    service: Service = field(default_factory=Service)
    health: int = 0
    files: Mapping[str, File] = field(default_factory=dict)
    tree: Mapping[str, Seen] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    mounted: Mapping[str, bool] = field(default_factory=dict)
    litellm: Answer | None = None
    codes: Mapping[str, upstream.Code] = field(default_factory=dict)
    skills: Mapping[str, Fetched] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()

    def content(self, name: str) -> bytes | None:
        """The content of the file called `name` here (config, env, compose, runtime, pending, ...), if it is there."""
        file = self.files.get(name)
        return file.content if file else None

    def readable(self, name: str, shown: str) -> bytes | None:
        """The same for a file of ours, which is `shown` as. Raises UnusableFile for a link or a folder in its place."""
        file = self.files.get(name)
        if file is not None and file.content is None:
            raise UnusableFile(shown, f"this is a {file.kind}, not a plain file")
        return file.content if file else None

    @property
    def gateway_state(self) -> dict[str, Any]:
        """What the gateway last wrote about itself; empty if nothing readable is there."""
        return parse_state(self.content("state"))


def read_guest(
    agent: Agent, guest: Guest, key: Secret | None, look: Iterable[str] = (), way: route.Route | None = None
) -> GuestFacts:
    """Ask the guest. key: LiteLLM's, sent as a file in the bundle; None: LiteLLM is not asked. way: on which it is.

    look: labels of the agent's files that `tree` has to say something of, besides those that were installed last.

    Raises CommandFailed (without the script's output), ConnectError, DeadlineExceeded.
    """
    bundle = {**frame(agent, SCRIPT, *tree.SCRIPTS, *SKILLS), tree.LIST: (tree.render(look), 0o600)}
    bundle |= registry.bundle(agent)
    bundle["hosts"] = ("".join(f"{host}\n" for host in named.of(agent).hosts).encode(), 0o600)
    bundle |= {name: (content, 0o600) for name, content in skills_asked(agent).items()}
    if key is not None:
        bundle |= route.bundle(agent, key.reveal(), way or route.Route())
    arguments = [mount.guest for mount in agent.mounts]
    doing = f"looking into CT {agent.vmid}"
    try:
        result = guest.run(bundle, SCRIPT, arguments, timeout=TIMEOUT_S, check=False, doing=doing)
    except CommandFailed as error:
        raise _without_output(error, error.message, doing) from None
    except DeadlineExceeded as error:
        # Its log mixes both streams; every fact has the sign, and what is said on standard error here has not.
        said = [line for line in error.log if "=" not in line]
        raise DeadlineExceeded(error.message, doing=doing, log=said) from None
    if not result.ok or not result.stdout.rstrip().endswith("facts=complete"):
        failed = CommandFailed("", command=SCRIPT, rc=result.rc, stderr=result.stderr)
        raise _without_output(failed, f"{SCRIPT} failed in CT {agent.vmid} with code {result.rc}", doing)
    return parse(result.stdout, route.models(agent))


def _without_output(error: CommandFailed, message: str, doing: str) -> CommandFailed:
    """The same failure with what was said on standard error alone."""
    said = error.stderr or "(nothing on standard error)"
    return CommandFailed(message, command=error.command, rc=error.rc, stderr=said, doing=doing)


def parse(output: str, models: Sequence[str] = ()) -> GuestFacts:
    """The facts in the script's output. models: those that LiteLLM may have been asked, in their order."""
    facts: dict[str, bytes] = {}
    for line in output.split("\n"):  # and at nothing else that ends a line: a name of the agent's may hold that
        by_path = line.startswith(_BY_PATH)
        # A path may hold the sign; what is told of it never does.
        name, found, value = line.rpartition("=") if by_path else line.partition("=")
        if not found or line.startswith((tree.SIGN, skills.SIGN)):
            continue
        if name.endswith(":b64") and not by_path:
            facts[name.removesuffix(":b64") + ":"] = base64.b64decode(value)
        else:
            facts[name] = value.encode()
    text = {name: value.decode("utf-8", "replace") for name, value in facts.items()}
    return GuestFacts(
        os_id=text.get("os.id", ""),
        os_version=text.get("os.version", ""),
        packages=_below("package.", text),
        dpkg_broken=text.get("dpkg.broken") == "yes",
        mtu=_number(text.get("mtu")),
        routes=_routes(text.get("routes:", "")),
        resolved=tuple(dict.fromkeys(_ADDRESS.findall(text.get("resolved:", "")))),
        apt_mirror=text.get("apt.mirror", ""),
        apt_distribution=text.get("apt.distribution") == "yes",
        docker=_engine(_below("docker.", text) | {"compose": text.get("compose.version", "")}),
        podman=_engine(_below("podman.", text)),
        image_id=text.get("image.id") or None,
        image_architecture=next(_texts(text.get("image.architecture"), _ARCHITECTURE), ""),
        image_digests=tuple(_texts(text.get("image.digests"), _REPO_DIGEST)),
        container=_container(text),
        compose_hash=text.get("compose.hash") or None,
        service=_service(text),
        health=_number(text.get("gateway.health")) or 0,
        files={name: _file(value, facts.get(f"file.{name}:")) for name, value in _files(text).items()},
        tree=tree.parse(output),
        places={path: Place(value) for path, value in _below("place.", text).items()},
        mounted={path: value == "yes" for path, value in _below("mount.", text).items()},
        litellm=_litellm(text, models),
        skills=skills.parse(output),
        profiles=tuple(name for name in text.get("profiles", "").split() if _PROFILE.fullmatch(name)),
        codes={name: code for name, told in _below("code.", text).items() if (code := upstream.code(told))},
    )


def parse_state(content: bytes | None) -> dict[str, Any]:
    """A gateway_state.json; empty if it is not there or not readable (it is replaced while we look)."""
    try:
        state = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _texts(written: str | None, pattern: re.Pattern[str]) -> Iterator[str]:
    """A text, or those of a list, in JSON: the ones that are of that form."""
    try:
        value = json.loads(written or "[]")
    except (ValueError, RecursionError):
        return
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and pattern.fullmatch(each):
            yield each


def _routes(said: str) -> tuple[tuple[str, str], ...]:
    """Of `ip -o -4 route`: the networks that are no default, each with its card."""
    found = (re.match(r"([0-9.]+(?:/[0-9]+)?) .*\bdev (\S+)", line) for line in said.splitlines())
    return tuple((each[1], each[2]) for each in found if each)


def _below(prefix: str, text: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in text.items() if name.startswith(prefix)}


def _files(text: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in _below("file.", text).items() if not name.endswith(":")}


def _file(stat: str, content: bytes | None) -> File:
    uid, gid, mode, kind = stat.split(" ", 3)
    regular = kind.startswith("regular")  # also "regular empty file"
    return File(int(uid), int(gid), int(mode, 8), kind, (content or b"") if regular else None)


def _service(text: Mapping[str, str]) -> Service:
    return Service(text.get("service.status", "nothing"), _below("service.", text))


def _engine(found: Mapping[str, str]) -> Docker | None:
    if "client" not in found:
        return None
    return Docker(
        server=found.get("server") or None,
        driver=found.get("driver") or None,
        compose=found.get("compose") or None,
        enabled=found.get("enabled") == "yes",
        error=" ".join(found.get("error:", "").split()),
    )


def _container(text: Mapping[str, str]) -> DockerContainer | None:
    found = _below("container.", text)
    if not found.get("image"):
        return None
    return DockerContainer(
        image=found["image"],
        status=found.get("status", ""),
        project=found.get("project", ""),
        folder=found.get("folder", ""),
        hash=found.get("hash", ""),
        stop=_number(found.get("stop")),
    )


def _litellm(text: Mapping[str, str], models: Sequence[str]) -> Answer | None:
    if "litellm.status" not in text:
        return None
    return Answer(
        status=_number(text.get("litellm.status")) or 0,
        models=text.get("litellm.models:", ""),
        info=text.get("litellm.info:", ""),
        error=" ".join(text.get("litellm.error:", "").split()),
        asked={
            model: Asked(_number(text[status]) or 0, text.get(f"litellm.said.{number}:", ""))
            for number, model in enumerate(models)
            if (status := f"litellm.asked.{number}") in text
        },
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
