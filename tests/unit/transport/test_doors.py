"""Doors are opened when used, and scripts are found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from proxhermes.errors import ProxhermesError
from proxhermes.events import Events
from proxhermes.inventory.models import Node
from proxhermes.transport.doors import Doors
from proxhermes.transport.scripts import script


def test_a_door_is_opened_once(make_node: Callable[..., Node], events: Events) -> None:
    with Doors(make_node(), events, "gihyeon") as doors:
        assert doors.pve is doors.pve
        assert doors.ssh is doors.ssh
        assert (doors.pve.name, doors.ssh.name, doors.guest(118).vmid) == ("gihyeon", "gihyeon", 118)
        assert (doors.calls, doors.commands) == (0, 0)


def test_doors_load_no_library_before_they_are_opened() -> None:
    check = "import sys, proxhermes.transport.doors; print([m for m in ('paramiko', 'requests') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(ProxhermesError, match=r"host_scripts/none\.sh"):
        script("none.sh")
