"""guest-runtime-native.sh: the user and the group, with commands of the test's own in the place of the system's."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "host_scripts"
OURS = "Hermes Agent by proxhermes"
There = tuple[dict[str, tuple[int, str]], dict[str, int]]
NOBODY: There = ({}, {})
TOOLS = "".join(f'{tool}() {{ echo "{tool} $*"; }}\n' for tool in ("useradd", "usermod", "groupadd", "groupmod"))


def run(there: There, call: str, **names: str) -> tuple[int, str]:
    """Call a function where there are these users (number, remark) and groups. Its code, and what it said."""
    users, groups = there
    known = {"user": "hermes", "uid": "10000", "group": "hermes", "gid": "10000", "create_user": "yes"} | names
    lines = [f"passwd {name} {name}:x:{number}:{number}:{gecos}:/h:/bin/sh" for name, (number, gecos) in users.items()]
    lines += [
        f"passwd {number} {name}:x:{number}:{number}:{gecos}:/h:/bin/sh" for name, (number, gecos) in users.items()
    ]
    lines += [f"group {name} {name}:x:{number}:" for name, number in groups.items()]
    lines += [f"group {number} {name}:x:{number}:" for name, number in groups.items()]
    cases = "".join(
        f"'{line.split(' ', 2)[0]} {line.split(' ')[1]}') echo '{line.split(' ', 2)[2]}' ;;\n" for line in lines
    )
    script = (
        "set -eu\n"
        + "".join(f"{name}={shlex.quote(value)}\n" for name, value in known.items())
        + f"user_home=/h unit=u project=/p\n. {SCRIPTS}/guest-common.sh\n. {SCRIPTS}/guest-runtime-native.sh\n"
        + f'getent() {{ case "$1 $2" in\n{cases}*) return 2 ;; esac }}\nrt_stop() {{ echo stopped; }}\n{TOOLS}{call}\n'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=10, check=False)
    return done.returncode, done.stdout + done.stderr


def test_both_are_made_where_there_are_none() -> None:
    assert run(NOBODY, "rt_check_user") == (0, "")
    code, said = run(NOBODY, "rt_user")
    assert code == 0
    assert "groupadd -g 10000 hermes" in said
    assert "useradd -u 10000 -g 10000 -d /h -M -N -s /bin/bash" in said


def test_where_they_are_there_nothing_happens() -> None:
    there = ({"hermes": (10000, "")}, {"hermes": 10000})
    assert run(there, "rt_check_user\nrt_user") == (0, "")
    assert run(there, "rt_check_user\nrt_user", create_user="no") == (0, "")


@pytest.mark.parametrize(
    ("users", "groups", "words"),
    [
        ({"joe": (10000, "")}, {}, "the user 10000 of this guest is called joe, not hermes"),
        ({"hermes": (999, "")}, {}, "the user hermes of this guest is number 999, not 10000"),
        ({}, {"joe": 10000}, "the group 10000 of this guest is called joe, not hermes"),
        ({}, {"hermes": 999}, "the group hermes of this guest is number 999, not 10000"),
        ({"joe": (10000, OURS), "hermes": (999, "")}, {}, "is called joe, not hermes"),
    ],
)
def test_what_is_somebody_elses_is_refused(
    users: dict[str, tuple[int, str]], groups: dict[str, int], words: str
) -> None:
    code, said = run((users, groups), "rt_check_user")
    assert code == 1
    assert words in said


def test_without_create_user_they_have_to_be_there() -> None:
    assert "there is no user hermes" in run(NOBODY, "rt_check_user", create_user="no")[1]
    there: There = ({"hermes": (10000, "")}, {})
    assert "there is no group hermes" in run(there, "rt_check_user", create_user="no")[1]
    ours = ({"bot": (10000, OURS)}, {"hermes": 10000})
    assert "is called bot" in run(ours, "rt_check_user", create_user="no")[1]


def test_ours_gets_another_name_or_another_number() -> None:
    named = ({"bot": (10000, OURS)}, {"bots": 10000})
    code, said = run(named, "rt_check_user\nrt_user")
    assert code == 0
    assert said.startswith("stopped\n")
    assert "groupmod -n hermes bots" in said
    assert "usermod -l hermes bot" in said
    numbered = ({"hermes": (999, OURS)}, {"hermes": 998})
    code, said = run(numbered, "rt_check_user\nrt_user")
    assert code == 0
    assert "groupmod -g 10000 hermes" in said
    assert "usermod -u 10000 hermes" in said
