"""The node's tools answer what a real node's tools answered (`tests/data/pve-cli-recordings.json`), in order.

Exit code, standard output and standard error are compared. What is left out stands in LEFT_OUT with its reason; what
cannot be equal in one particular step stands in RULES with its reason.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_recordings import (
    COMMON,
    Answer,
    Hardware,
    Rule,
    Step,
    as_json,
    keys_only,
    lines_in_any_order,
    load,
    plain,
)
from cli_replay import Guests, Replay, is_json, with_guests
from recorded_node import recorded_node

STEPS = load()
ROOT = os.geteuid() == 0

MANUAL = "the prose of Proxmox' manual"
NOT_OFFERED = "a command that proxhermes does not use and this node does not offer"
LIST_OF_API = "the list of all API paths, most of which this node does not have"
REAL_GUEST = "what the recorded guest had installed and running"
NEEDS_ROOT = "enters a guest's namespaces, which needs root"

LEFT_OUT: dict[int, str] = {
    **dict.fromkeys((56, 57), MANUAL),
    36: f"pct listsnapshot: {NOT_OFFERED}",
    **dict.fromkeys((125, 152), f"pct df: {NOT_OFFERED}"),
    **dict.fromkeys((126, 153), f"pct fstrim: {NOT_OFFERED}"),
    **dict.fromkeys((127, 154), f"pct fsck: {NOT_OFFERED}"),
    **dict.fromkeys((133, 134, 135), f"pct rescan: {NOT_OFFERED}"),
    136: f"pct cpusets: {NOT_OFFERED}",
    141: f"pct move-volume: {NOT_OFFERED}",
    142: f"pct clone: {NOT_OFFERED}",
    **dict.fromkeys((147, 176), REAL_GUEST),
    280: f"pvesm alloc: {NOT_OFFERED}",
    **dict.fromkeys((281, 282), f"pvesm free: {NOT_OFFERED}"),
    **dict.fromkeys((290, 291), f"pveam remove: {NOT_OFFERED}"),
    **dict.fromkeys((317, 318), f"pvesh ls: {LIST_OF_API}"),
}

FIGURES: list[Rule] = [(r"\d+(?:\.\d+)?%?", "#"), (r" +", " ")]
RESIZE2FS: list[Rule] = [
    (r"(?m)^(?:resize2fs |Filesystem at |old_desc_blocks |resize2fs: |Failed to update the container's ).*\n", ""),
    (r"(?m)^\n", ""),
]
RULES: dict[int, tuple[str, list[Rule]]] = {
    23: (
        "the comment of the host keys of a container without a name: localhost there, CT325 here",
        [(r"root@(?:localhost|CT325)\b", "root@<nameless>")],
    ),
    **dict.fromkeys((137, 243), ("resize2fs' own lines, and its failure on the recording machine", RESIZE2FS)),
    148: ("memory, traffic and time of the recorded guest", FIGURES),
    **dict.fromkeys((265, 266, 267, 269), ("the recording machine's disk", FIGURES)),
    396: (
        "Proxmox' warning about a rule that the deleted token left behind; here it goes with the token",
        [(r"(?m)^user config - ignore invalid acl token .*\n", "")],
    ),
    258: ("LXC's own lines about its start", [(r"(?m)^(?:run_buffer|lxc_init|__lxc_start): .*\n", "")]),
}
SHAPE_ONLY: dict[int, str] = {
    311: "the recording machine's disk",
    342: "the recording machine's processor, memory and kernel",
}
# What happened on the recorded node just before a step, by other means than these commands.
MEANWHILE: dict[int, Callable[[Replay], None]] = {
    133: Replay.rescan,
    250: Replay.end_guest,
    327: Replay.give_address,
}
ANY_ORDER: dict[int, str] = {
    384: "Perl prints the parameters in the order of a hash",
    386: "the rules of one path come in the order of a hash",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One step with what was recorded and what was answered, both made comparable."""

    step: Step
    wanted: object
    got: object


def left_out(step: Step) -> str | None:
    """Why a step is not replayed; None when it is."""
    enters = step.argv[:2] in {("pct", name) for name in ("exec", "enter", "push", "pull")}
    if enters and not ROOT and step.scenario in ("pct-exec", "pct-push", "pct-start"):
        return NEEDS_ROOT
    return LEFT_OUT.get(step.number)


def comparable(step: Step, answer: Answer, hardware: Hardware) -> object:
    """An answer as it is compared."""
    rules = COMMON + RULES.get(step.number, ("", []))[1]
    out, err = plain(hardware.number(answer.stdout), rules), plain(answer.stderr, rules)
    if step.number in ANY_ORDER:
        return answer.rc, lines_in_any_order(out), lines_in_any_order(err)
    if is_json(step):
        *log, last = [*out.splitlines(keepends=True)] or [""]
        data = as_json(last)
        return answer.rc, "".join(log), keys_only(data) if step.number in SHAPE_ONLY else data, err
    return answer.rc, out, err


@pytest.fixture(scope="module")
def replayed() -> Iterator[list[Compared]]:
    """The whole recording, replayed once. The folder can be passed by all: the guest's root is nobody out here."""
    with tempfile.TemporaryDirectory(prefix="recorded-node-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        node = recorded_node(folder)
        guests = Guests(folder, node.site.real("/srv/pve-share"))
        if ROOT:
            with_guests(node.runtime, guests)
        try:
            yield replay_all(Replay(node, folder))
        finally:
            for vmid in list(guests.running):
                guests.end(vmid)


def replay_all(replay: Replay) -> list[Compared]:
    """Every step that is not left out, in order."""
    replay.prepare()
    results = []
    theirs, ours = Hardware(), Hardware()
    for step in STEPS:
        if step.number in MEANWHILE:
            MEANWHILE[step.number](replay)
        if not left_out(step):
            answer = replay.answer(step)
            results.append(Compared(step, comparable(step, step.answer, theirs), comparable(step, answer, ours)))
    return results


@pytest.mark.parametrize("scenario", sorted({step.scenario for step in STEPS}))
def test_answers_as_recorded(replayed: list[Compared], scenario: str) -> None:
    wrong = [item for item in replayed if item.step.scenario == scenario and item.wanted != item.got]
    shown = [f"{item.step.line}\n  recorded: {item.wanted!r}\n  answered: {item.got!r}" for item in wrong]
    assert not shown, "\n".join(["", *shown])


def test_count(replayed: list[Compared], capsys: pytest.CaptureFixture[str]) -> None:
    good = sum(item.wanted == item.got for item in replayed)
    reasons = [(step, left_out(step)) for step in STEPS]
    with capsys.disabled():
        print(f"\ncommand line recordings: {good} of {len(replayed)} as recorded, of {len(STEPS)} in all; left out:")
        for step, reason in reasons:
            if reason:
                print(f"  {step.line}: {reason}")
    assert good == len(replayed)
    assert len(replayed) + sum(reason is not None for _, reason in reasons) == len(STEPS)


def test_nothing_is_left_out_for_nothing() -> None:
    """Left-out numbers name the commands that they mean."""
    for number, reason in LEFT_OUT.items():
        command = " ".join(STEPS[number - 1].argv[:2])
        if reason.startswith(("pct ", "pvesm ", "pveam ", "pvesh ")):
            assert reason.startswith(command), (number, reason, command)
