"""The edge: options before or after the command, exit codes, how errors and interrupts look."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from proxhermes.cli import main
from proxhermes.cli.context import Command, Context, json_option, pass_context
from proxhermes.cli.failure import describe
from proxhermes.errors import CommandFailed, Interrupted, ProxhermesError, TaskFailed, UsageError, VerificationFailed
from proxhermes.redaction import register_secret


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _with(monkeypatch: pytest.MonkeyPatch, body: object) -> None:
    """Put a command `try` into the tool that calls `body(context)`."""

    @click.command(cls=Command)
    @json_option
    @pass_context
    def command(context: Context) -> None:
        assert callable(body)
        body(context)

    monkeypatch.setitem(main._COMMANDS, "try", main._Entry("nowhere:nothing", "For the test."))
    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)


@pytest.mark.parametrize("argv", [["-i", "a.yaml", "-v", "try", "-v"], ["try", "-i", "a.yaml", "-vv"]])
def test_options_stand_before_or_after_the_command(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path | None, int]] = []
    _with(monkeypatch, lambda context: seen.append((context.inventory_option, context.verbose)))
    assert main.run_with(argv) == 0
    assert seen == [(Path("a.yaml"), 2)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProxhermesError("it broke"), 1),
        (UsageError("a wrong word"), 2),
        (VerificationFailed("2 of 9 checks failed"), 4),
        (Interrupted("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Context) -> None:
        raise error

    _with(monkeypatch, fail)
    assert main.run_with(["try"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.lstrip().startswith("Error: ")  # click ends the line that ^C began
    assert "Traceback" not in err


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Context) -> None:
        raise ProxhermesError("it broke")

    _with(monkeypatch, fail)
    assert main.run_with(["try", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("no_color", "red"), [("", True), ("1", False)])
def test_no_color_holds_for_errors_too(no_color: str, red: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def fail(_: Context) -> None:
        raise ProxhermesError("it broke")

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    _with(monkeypatch, fail)
    assert main.run_with(["try"]) == 1
    assert "it broke" in terminal.getvalue()
    assert ("\x1b[" in terminal.getvalue()) is red


def test_usage_errors_end_with_2_and_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run_with(["verfy"]) == 2
    assert "Did you mean 'verify'?" in capsys.readouterr().err
    assert main.run_with(["verify", "12"]) == 2
    assert "12 is no VMID" in capsys.readouterr().err.replace("'", "")
    assert main.run_with(["verify", "hermes"]) == 2
    assert "'hermes' is no VMID" in capsys.readouterr().err
    assert main.run_with(["verify", "--nonsense"]) == 2


def test_no_secret_leaves_through_an_error_or_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    register_secret("s3cr3t-value")

    def fail(context: Context) -> None:
        context.events.note("about to send s3cr3t-value")
        raise ProxhermesError("the answer held s3cr3t-value", log=["s3cr3t-value"])

    _with(monkeypatch, fail)
    assert main.run_with(["try", "--debug"]) == 1
    out, err = capsys.readouterr()
    (log,) = (tmp_path / "state" / "proxhermes" / "log").iterdir()
    assert "s3cr3t-value" not in out + err + log.read_text()
    assert "********" in err
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_run_without_a_place_for_its_log_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    _with(monkeypatch, lambda context: context.events.note("at work"))
    assert main.run_with(["try"]) == 0
    err = capsys.readouterr().err
    assert "no log of this run" in err
    assert "at work" in err


def test_an_error_says_what_was_done_what_was_answered_and_what_to_do() -> None:
    error = TaskFailed(
        "the start task failed",
        upid="UPID:x",
        exitstatus="bridge 'vmbr9' does not exist",
        log=["first line", "TASK ERROR: bridge 'vmbr9' does not exist"],
        doing="starting container 118",
    )
    text = "\n".join(describe(error))
    for part in ("the start task failed", "while starting container 118", "| TASK ERROR: bridge", "→ "):
        assert part in text


def test_a_failed_command_shows_its_last_words() -> None:
    error = CommandFailed("pct failed", command="pct set 118", rc=2, stderr="\n".join(f"line {n}" for n in range(50)))
    lines = describe(error)
    assert "| line 49" in lines
    assert "| line 10" not in lines


def test_json_waits_for_the_display_to_let_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[str] = []

    def body(context: Context) -> None:
        context.events.note("at work")
        assert context._display is not None
        monkeypatch.setattr(context._display, "close", lambda: closed.append(capsys.readouterr().out))
        context.print_json({"a": 1})

    _with(monkeypatch, body)
    assert main.run_with(["try"]) == 0
    assert closed[0] == "", "nothing was printed before"


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "proxhermes", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("proxhermes, version ")


def test_the_help_lists_every_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [name for names in main._SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(main._COMMANDS)
    assert main.run_with(["--help"]) == 0
    help_ = capsys.readouterr().out
    assert all(f"\n  {name} " in help_ for name in listed)
    assert "Docker" not in help_, "not every runtime has it"


def test_every_command_teaches_what_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("create", "bootstrap", "verify", "up", "plan", "destroy"):
        assert main.run_with([command, "--help"]) == 0
        assert f"proxhermes {command} " in capsys.readouterr().out.partition("Example")[2], f"{command} has no example"
    assert main.run_with(["verify", "--help"]) == 0
    assert "hermes.answer" in capsys.readouterr().out, "the checks are listed"


def test_a_junit_file_that_cannot_be_is_told_before_the_checks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("""
version: 1
nodes:
  gihyeon:
    api: https://192.0.2.1:8006
    token: hermes@pve!proxhermes
    token_secret: {env: NOT_SET_ANYWHERE}
    ssh: {host: 192.0.2.1}
litellm: {base_url: "http://192.0.2.2:4000/v1", api_key: {env: NOT_SET_ANYWHERE}, model: m}
agents:
  118: {node: gihyeon, hostname: h, network: {bridge: vmbr0}}
""")
    argv = ["-i", str(inventory), "verify", "--junit"]
    assert main.run_with([*argv, str(tmp_path / "none" / "junit.xml")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main.run_with([*argv, str(tmp_path / "junit.xml")]) == 2, "a missing secret says nothing of the agent"
    assert capsys.readouterr().err.count("NOT_SET_ANYWHERE") == 2, "told once, with its way out"
