"""The law of the merge: additive, idempotent, mapping by mapping."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxhermes.hermes import merge

KEYS = st.sampled_from(["a", "b", "c/d", "e~f", "g"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "off", "1"]) | st.just(1.0)
SETTINGS = st.recursive(
    st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=2), max_size=4),
    lambda inner: st.dictionaries(KEYS, SCALARS | inner, max_size=4),
    max_leaves=12,
)


@given(SETTINGS, SETTINGS)
def test_merging_leaves_no_difference_and_again_changes_nothing(existing: Any, wanted: Any) -> None:
    result = merge.merged(existing, wanted)
    assert not list(merge.differences(result, wanted))
    assert merge.same(merge.merged(result, wanted), result)


@given(SETTINGS, SETTINGS)
def test_the_differences_are_what_the_merge_changes(existing: Any, wanted: Any) -> None:
    found = list(merge.differences(existing, wanted))
    result = existing
    for difference in found:
        assert merge.lookup(existing, difference.path) is difference.before or difference.before is merge.ABSENT
        result = merge.merged(result, merge.nested(difference.path, difference.after))
    assert bool(found) == (not merge.same(merge.merged(existing, wanted), existing))
    for path, value in merge.leaves(existing):
        if all(path[: len(d.path)] != d.path and d.path[: len(path)] != path for d in found):
            assert merge.same(merge.lookup(merge.merged(existing, wanted), path), value)


@given(SETTINGS)
def test_every_leaf_is_found_by_its_path_and_can_be_taken_out(settings: Any) -> None:
    for path, value in merge.leaves(settings):
        assert merge.lookup(settings, path) is value
        assert merge.lookup(merge.removed(settings, path), path) is merge.ABSENT


def test_one_is_neither_true_nor_a_float() -> None:
    assert not merge.same(1, True)
    assert not merge.same(1, 1.0)
    assert merge.same({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})


def test_an_emptied_parent_goes_with_its_last_key() -> None:
    assert merge.removed({"a": {"b": {"c": 1}}, "d": 2}, ("a", "b", "c")) == {"d": 2}
    assert merge.removed({"a": 1}, ("a", "b")) == {"a": 1}
    assert merge.removed({"a": 1}, ("x", "y")) == {"a": 1}
