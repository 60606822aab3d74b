"""The tour: a lab, an agent provisioned on it by the real command, and a chat with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxhermes.lab.node import lifecycle
from proxhermes.lab.node.client import TELEGRAM_USER
from proxhermes.lab.node.lab import Lab
from proxhermes.lab.node.process import LabError, wait_until
from proxhermes.lab.node.service_table import TELEGRAM_PORT

AGENT = "118"
NOTHING, CHANGES_PENDING = 0, 3  # exit codes of `proxhermes plan`
ANSWER_SECONDS = 120.0
ANSWER = "Aloha"
QUESTION = f"Reply with exactly: {ANSWER}"

Say = Callable[[str], None]


def run(instance: str, say: Say) -> None:
    """Everything, from nothing; run again, it finds what is there. LabError where a step fails."""
    began = time.monotonic()
    say("\n▸ The node: a Proxmox-compatible one, with real containers")
    lab = lifecycle.up(instance, lambda line: say(f"  {line}"))
    say("\n▸ The plan: what each door will be used for")
    _proxhermes(lab, "plan", AGENT, codes=(NOTHING, CHANGES_PENDING), say=say)
    say("\n▸ create + bootstrap + verify")
    _proxhermes(lab, "up", AGENT, codes=(0,), say=say)
    say("\n▸ Once more: nothing to do")
    _proxhermes(lab, "up", "--no-verify", AGENT, codes=(0,), say=say)
    say("\n▸ A chat, through a stand-in for Telegram's servers")
    _chat(lab, say)
    say(f"\n✔ done in {time.monotonic() - began:.0f} s\n\n{_around(lab)}")


def _proxhermes(lab: Lab, *words: str, codes: tuple[int, ...], say: Say) -> None:
    """Run the product as its user would, on this terminal."""
    say(f"  $ proxhermes {' '.join(words)}")
    command = Path(sys.executable).parent / "proxhermes"
    done = subprocess.run([command, "-i", lab.inventory, *words], check=False)
    if done.returncode not in codes:
        raise LabError(f"`proxhermes {' '.join(words)}` ended with code {done.returncode}")


def _chat(lab: Lab, say: Say) -> None:
    """Write to the agent as its owner, and wait for what it says."""
    after = len(_control(lab, "sent"))
    say(f"  you    › {QUESTION}")
    _control(lab, "messages", {"from": TELEGRAM_USER, "text": QUESTION})

    def answered() -> bool:
        return any(ANSWER in text for text in _answers(lab, after))

    wait_until(answered, "the agent's answer", seconds=ANSWER_SECONDS)
    for text in _answers(lab, after):
        say(f"  hermes › {text}")


def _answers(lab: Lab, after: int) -> list[str]:
    return [str(message["text"]) for message in _control(lab, f"sent?after={after}") if message.get("text")]


def _control(lab: Lab, what: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the control door of the Telegram mock; a body makes it a POST."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(
        f"http://{lab.address}:{TELEGRAM_PORT}/control/{what}", data, {"Content-Type": "application/json"}
    )
    # The node is next door, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def _around(lab: Lab) -> str:
    command = Path(sys.executable).parent / "proxhermes"
    instance = "" if lab.paths.instance == "default" else f" --instance {lab.paths.instance}"
    return f"""Look around:
  export PROXHERMES_INVENTORY={lab.inventory}
  {command} status                          what there is
  {command} verify                          prove it again
  {command} lab shell{instance}                       the node: pct list, pct config 118, pct enter 118
  {command} lab shell{instance} -- ls -ln /mnt/pve/hdd/hermes    what the agent wrote, as the node sees it
  {command} destroy 118                     remove the agent
  {command} lab down{instance}                        remove the node"""
