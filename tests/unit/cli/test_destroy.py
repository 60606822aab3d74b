"""The question before something is lost: only the right word goes on, and nobody is asked where nobody sits."""

from __future__ import annotations

import io
import signal

import pytest

from proxhermes.cli.destroy import _ask
from proxhermes.errors import Interrupted, UsageError


class Keyboard(io.StringIO):
    """A terminal at which `text` is typed."""

    def isatty(self) -> bool:
        return True


def test_the_vmid_typed_in_full_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard("118\n"))
    _ask("Container 118 will be removed.", "118", "--yes")
    out, err = capsys.readouterr()
    assert "Container 118 will be removed." in err
    assert "118" not in out, "questions are no data"


@pytest.mark.parametrize("typed", ["", "y", "yes", "11", "1180", "purge"])
def test_any_other_word_changes_nothing(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(f"{typed}\n"))
    with pytest.raises(UsageError, match="nothing was changed"):
        _ask("Container 118 will be removed.", "118", "--yes")


def test_without_a_terminal_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("118\n"))
    with pytest.raises(UsageError, match="nobody is here to confirm") as caught:
        _ask("Container 118 will be removed.", "118", "--yes")
    assert caught.value.hint == "add --yes to run this unattended"
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_at_the_question_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Keyboard):
        def readline(self, _size: int | None = -1, /) -> str:
            signal.raise_signal(signal.SIGINT)
            return "118\n"

    kept = signal.signal(signal.SIGINT, lambda *_: None)
    ours = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("sys.stdin", Impatient())
    try:
        with pytest.raises(Interrupted, match="nothing was changed"):
            _ask("Container 118 will be removed.", "118", "--yes")
        assert signal.getsignal(signal.SIGINT) is ours, "from here on, it asks for a stop at a safe point again"
    finally:
        signal.signal(signal.SIGINT, kept)
