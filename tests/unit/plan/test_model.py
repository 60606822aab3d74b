"""A change is one line, whatever is in it."""

from __future__ import annotations

from proxhermes.plan.model import Change, Door, Layer


def test_a_value_of_several_lines_is_shown_on_one() -> None:
    change = Change(Layer.HERMES, Door.GUEST, ".env: NOTE", "a\r\nb", "c\n")
    assert str(change) == "[guest] .env: NOTE: a\\r\\nb → c\\n"
