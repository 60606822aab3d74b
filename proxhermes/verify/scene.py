"""What the checks look at: each source is asked once, when the first check needs it, and never again.

Sources, in the order in which they are asked: the API (token), the guest in one round trip, the dialogue with the
agent in another, and at last the node, which sees and removes every file that the others left.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from proxhermes import upstream
from proxhermes.errors import ProxhermesError
from proxhermes.facts import tree
from proxhermes.facts.container import ContainerFacts, read_container
from proxhermes.facts.frame import frame
from proxhermes.hermes.ports import closed_pages
from proxhermes.inventory.runtime_rules import API_PORT, DASHBOARD_PORT
from proxhermes.plan import idmap
from proxhermes.plan.container import refuse_foreign
from proxhermes.transport.command import Command
from proxhermes.transport.scripts import script
from proxhermes.verify import configuration, homes, mcp, state
from proxhermes.verify.probe import Probe, Reply, read

if TYPE_CHECKING:
    from proxhermes.events import Events
    from proxhermes.hermes.documents import Given
    from proxhermes.inventory.models import Agent, Mount
    from proxhermes.transport.doors import Doors

T = TypeVar("T")

# A slow model thinks for a while.
ANSWER_SECONDS = 180
# Hermes tries a dead model again and again (upstream.Release.unreachable_s): what it says then, it says a moment later.
LAST_WORDS_SECONDS = 30
# All that guest-verify.sh asks, should each of its questions take its whole time, and a mount's two of them.
GUEST_SECONDS = 560
MOUNT_SECONDS = 30
PROBE = "agent-probe.py"
# The gateway's API and the dashboard, whether or not something listens inside (Hermes: docker.md).
HERMES_PORTS = (API_PORT, DASHBOARD_PORT)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed on either stream, and its code; `missing` if it was not run."""

    out: str
    err: str
    rc: int | None

    @property
    def ok(self) -> bool:
        return self.rc == 0

    @property
    def last_words(self) -> str:
        """The last line that says something, errors first, for an evidence."""
        for stream in (self.err, self.out):
            lines = [line.strip() for line in stream.splitlines() if line.strip()]
            if lines:
                return lines[-1]
        return f"code {self.rc}, no output"


class Answers:
    """Lines of `NAME BASE64`, as the verification scripts print them."""

    def __init__(self, text: str) -> None:
        self._values = dict(_decode(text))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """The value, stripped; empty if the script did not give it."""
        return self._values.get(name, "").strip()

    def answer(self, name: str) -> Answer:
        rc = self.text(f"{name}.rc")
        return Answer(self.text(name), self.text(f"{name}.err"), int(rc) if rc.isascii() and rc.isdigit() else None)

    def json(self, name: str) -> Mapping[str, Any] | None:
        """The value as a JSON object; None if it is absent or none."""
        try:
            value = json.loads(self.text(name))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


def _decode(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.splitlines():
        name, _, encoded = line.partition(" ")
        try:
            pairs.append((name, base64.b64decode(encoded, validate=True).decode(errors="replace")))
        except (binascii.Error, ValueError):
            continue  # a line that a login script or a locale warning put between ours
    return pairs


class _Once(Generic[T]):
    """A source of the scene: asked when it is first needed. What it said stays, and so does its failure.

    A guest that does not answer would otherwise cost every check its whole deadline again.
    """

    def __init__(self, look: Callable[[Scene], T]) -> None:
        self._look = look
        self._name = look.__name__

    def __get__(self, scene: Scene, _owner: type[Scene] | None = None) -> T:
        if self._name not in scene.asked:
            scene.asked[self._name] = None
            try:
                scene.asked[self._name] = self._look(scene)
            except ProxhermesError as error:
                scene.asked[self._name] = error
        found = scene.asked[self._name]
        if isinstance(found, ProxhermesError):
            raise found
        return found  # type: ignore[no-any-return]  # what this look returned


class Scene:
    """One agent under verification.

    `wants` names what may be asked of the guest, so that a run with `--only` neither talks to the model nor writes
    files that nobody will look at. `depth`: how thoroughly the databases are looked at.
    """

    def __init__(
        self,
        agent: Agent,
        doors: Doors,
        events: Events,
        wants: frozenset[str],
        depth: state.Depth = state.QUICK,
    ) -> None:
        self.agent = agent
        self.doors = doors
        self.nonce = secrets.token_hex(6)
        self._events = events
        self._wants = wants
        self._depth = depth
        self._left_files = False
        self.asked: dict[str, Any] = {}
        """The sources that were asked: what they said, or how they failed."""

    def wants(self, check_id: str) -> bool:
        return check_id in self._wants

    @_Once
    def container(self) -> ContainerFacts:
        with self._events.step("asking the API"):
            return read_container(self.doors.pve, self.agent.node, self.agent.vmid, self._events)

    @_Once
    def idmap(self) -> idmap.IdMap:
        return idmap.from_lxc(self.container.lxc)

    @property
    def address(self) -> str | None:
        return next(iter(self.container.addresses), None)

    def _require_running(self) -> None:
        if not self.container.running:
            what = "is not running" if self.container.exists else "does not exist"
            raise ProxhermesError(f"CT {self.agent.vmid} {what}")
        refuse_foreign(self.container)  # nobody asked us to write test files into somebody else's

    @_Once
    def guest(self) -> Answers:
        """The guest's answers; leaves a test file per mount by root and by the agent."""
        self._require_running()
        agent = self.agent
        scripts = ("guest-verify.sh", PROBE, *tree.SCRIPTS)
        bundle = {**frame(agent, *scripts)}
        # A file of the operator's that is missing is told by the check that compares it.
        bundle[tree.LIST] = (tree.render(homes.looked_at(agent, _attempt(lambda: self.given) or {})), 0o600)
        more = {**mcp.bundle(agent), **homes.bundle(agent)}
        bundle |= {name: (content, 0o600) for name, content in more.items()}
        bundle |= state.bundle(self._depth) if self.wants(state.ID) else {}
        if self.wants(configuration.ID) and (declared := _attempt(lambda: self.declared)) is not None:
            bundle |= configuration.bundle(declared)
        mounts = [mount.guest for mount in agent.mounts] if self._writes else []
        args = [self.nonce, *mounts]
        with self._events.step("asking the guest"):
            self._left_files = bool(mounts)
            limit = GUEST_SECONDS + MOUNT_SECONDS * len(mounts) + mcp.seconds(agent) + self._depth.seconds
            result = self.doors.guest(agent.vmid).run(
                bundle, "guest-verify.sh", args, timeout=limit, doing=f"verifying agent {agent.vmid} from inside"
            )
        return Answers(result.stdout)

    @_Once
    def probe(self) -> Probe:
        """What the gateway and LiteLLM answered in the agent's place. Raises ProxhermesError if nobody could ask."""
        answer = self.guest.answer("probe")
        return read(Probe, answer)

    @_Once
    def installed(self) -> upstream.Code | None:
        """The Hermes that is installed: in the image, or as the current version; None where it does not say.

        Of images, the one before is told first (guest-runtime-compose.sh, image_code).
        """
        current = self.guest.text("package").rpartition("/")[2]
        codes = dict(line.partition(" ")[::2] for line in self.guest.text("codes").splitlines())
        return upstream.code(codes.get(current, "") if current else next(reversed(codes.values()), ""))

    @property
    def hermes_version(self) -> str | None:
        """The version of the agent, as far as it was asked: of the gateway that runs, else of what is installed."""
        if not isinstance(self.asked.get("guest"), Answers):
            return None
        told = _attempt(lambda: self.probe)
        running = told.gateway.version if told and upstream.parse(told.gateway.version) else None
        return running or (self.installed.version if self.installed else None)

    @_Once
    def declared(self) -> dict[str, tuple[configuration.Key, ...]]:
        """The keys that the inventory has for config.yaml, by the profiles' names; the agent's own by an empty one."""
        return configuration.declared(self.agent)

    @_Once
    def given(self) -> dict[str, tuple[Given, ...]]:
        """The files that the inventory gives, by the names of the profiles; the agent's own by an empty one."""
        return homes.given(self.agent)

    @property
    def _writes(self) -> bool:
        return self.wants("host.root-writes") or self.wants("host.agent-writes")

    @property
    def tool_mount(self) -> tuple[int, Mount] | None:
        """The mount on which the agent is asked to write a file, with its number: the first one that it may write."""
        return next(((n, mount) for n, mount in enumerate(self.agent.mounts) if not mount.read_only), None)

    def _tool_prompt(self, mount: Mount) -> str:
        file = f"{mount.guest}/.proxhermes-verify-{self.nonce}-tool"
        return (
            f"Use your write_file tool to write {self.nonce} to the file {file} and nothing else. "
            "Then reply with exactly: done"
        )

    @property
    def _patience(self) -> int:
        """How long a question may take, in seconds: long enough to hear why there is no answer."""
        return max(ANSWER_SECONDS, upstream.release(self.hermes_version).unreachable_s + LAST_WORDS_SECONDS)

    @_Once
    def dialogue(self) -> Answers:
        """The running agent's answers to the prompts that the wanted checks need; none after one that has none."""
        _ = self.guest  # in order: files first, then talk
        seconds = self._patience
        args: list[str] = []
        if self.wants("hermes.answer"):
            args += ["answer", str(seconds), f"Reply with exactly: {self.word}"]
        if self.wants("hermes.tool") and self.tool_mount:  # elsewhere nobody would see the file, nor remove it
            args += ["tool", str(seconds), self._tool_prompt(self.tool_mount[1])]
        bundle = frame(self.agent, "guest-dialogue.sh", PROBE)
        with self._events.step("talking to the agent"):
            self._left_files = self._left_files or "tool" in args
            result = self.doors.guest(self.agent.vmid).run(
                bundle, "guest-dialogue.sh", args, timeout=2 * seconds + 60, doing="talking to the agent"
            )
        return Answers(result.stdout)

    def reply(self, name: str) -> Reply | None:
        """What the agent said to one of the prompts; None if it was not asked."""
        answer = self.dialogue.answer(name)
        return None if answer.rc is None else read(Reply, answer)

    @property
    def word(self) -> str:
        """What the model is asked to say; made anew each time, so that no cache and no log can have it."""
        return f"PROOF-{self.nonce}"

    @_Once
    def node(self) -> Answers:
        """What the node sees of the test files, and which of the guest's ports it reaches. Removes the files.

        So no check before `hermes.tool` may look from there.
        """
        with self._events.step("looking from the node"):
            return self._look_from_node()

    def _look_from_node(self) -> Answers:
        guest = _attempt(lambda: self.guest) or Answers("")
        ports = {*HERMES_PORTS, *bound_ports(guest.text("inspect"))}
        ports |= {port for port, _ in listeners(guest.text("listeners"))}
        folders = [mount.host for mount in self.agent.mounts]
        pages = ",".join(closed_pages(self.agent)) or "-"
        argv = ("sh", "-s", "--", self.address or "-", ",".join(map(str, sorted(ports))), pages, self.nonce, *folders)
        result = self.doors.ssh.run(
            Command(argv, stdin=script("host-verify.sh")), timeout=120, doing="looking at the test files"
        )
        return Answers(result.stdout)

    def close(self) -> None:
        """Have every test file removed that was left, also when the check that looks at them was not reached.

        It is no step, for it has to be done after Ctrl-C as well. What could not be removed is named in a warning.
        """
        if not self._left_files or not self.doors.commands or isinstance(self.asked.get("node"), Answers):
            return
        try:
            self._look_from_node()
        except ProxhermesError as error:
            files = ", ".join(f"{mount.host}/.proxhermes-verify-{self.nonce}-*" for mount in self.agent.mounts)
            self._events.warning(f"test files may be left on {self.agent.node}, remove them: {files} ({error.message})")


def _attempt(look: Callable[[], T]) -> T | None:
    """Do it for its traces; its failure is told by the check that it belongs to, and is None here."""
    try:
        return look()
    except ProxhermesError:
        return None


def bound_ports(inspected: str) -> set[int]:
    """The guest's ports in the last field of `inspect`: Docker may forward them without a process that listens."""
    try:
        bindings = json.loads(inspected.split("|", 5)[5]) or {}
        return {int(each["HostPort"]) for bound in bindings.values() for each in bound or () if each["HostPort"]}
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def listeners(ss_output: str) -> list[tuple[int, str]]:
    """(port, process) of every TCP socket in `ss -H -ltnp` that listens on more than the loopback interface."""
    found = []
    for line in ss_output.splitlines():
        words = line.split()
        if len(words) < 4:
            continue
        address, _, port = words[3].rpartition(":")
        bare = address.strip("[]").partition("%")[0]
        if port.isascii() and port.isdigit() and not (bare.startswith("127.") or bare in ("::1", "::ffff:127.0.0.1")):
            process = line.partition('users:(("')[2].partition('"')[0]
            found.append((int(port), process or "unknown"))
    return sorted(set(found))
