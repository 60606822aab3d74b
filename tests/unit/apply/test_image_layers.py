"""The layers of an image, laid over each other: as the specification says, whatever is in them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.registry import Entry, archive

sys.path.insert(0, str(Path(__file__).parents[3] / "host_scripts"))
sys.dont_write_bytecode, before = True, sys.dont_write_bytecode  # that folder goes into the wheel as it is

from image_layers import Image, Refused, apply  # noqa: E402

sys.dont_write_bytecode = before

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
ENTRIES = st.one_of(
    st.builds(lambda path, text: (path, text), PATHS, st.text("xyz", min_size=1, max_size=3)),
    st.builds(lambda path: (path, None), PATHS),  # a whiteout
    st.builds(lambda path: (f"{path}/.wh..wh..opq", None), PATHS),
)


def image(tmp: Path, *layers: list[Entry]) -> Image:
    made = Image(tmp)
    for number, entries in enumerate(layers, start=1):
        apply(made, io.BytesIO(archive(entries)), number)
    return made


def files(made: Image, at: str = "") -> dict[str, Path | None]:
    found: dict[str, Path | None] = {}
    for name, node in ((made.find(at) or made.root).children or {}).items():
        path = f"{at}/{name}".lstrip("/")
        if node.children is not None:
            found |= files(made, path)
        else:
            found[path] = node.stored
    return found


def expected(layers: list[list[tuple[str, str | None]]]) -> dict[str, str]:
    """The specification's own words: whiteouts hide what is below, and are done first; a file hides a folder."""
    state: dict[str, str] = {}
    for layer in layers:
        for path, text in layer:
            parts = path.split("/")
            for end in range(1, len(parts)):  # what something is in is a folder
                state.pop("/".join(parts[:end]), None)
            if text is None:
                hidden = path.removesuffix("/.wh..wh..opq")
                opaque = hidden != path
                state = {
                    each: content
                    for each, content in state.items()
                    if not each.startswith(f"{hidden}/") and (opaque or each != hidden)
                }
        for path, text in layer:
            if text is not None:
                state = {each: content for each, content in state.items() if not each.startswith(f"{path}/")}
                state[path] = text
    return state


def entry(path: str, text: str | None) -> Entry:
    if text is not None:
        return Entry(f"opt/hermes/{path}", text)
    if path.endswith(".wh..wh..opq"):
        return Entry(f"opt/hermes/{path}")
    folder, slash, name = path.rpartition("/")
    return Entry(f"opt/hermes/{folder}{slash}.wh.{name}")


@given(layers=st.lists(st.lists(ENTRIES, max_size=5), max_size=4))
def test_what_is_there_in_the_end(
    layers: list[list[tuple[str, str | None]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    # In one layer nothing is both a file and a folder, or hidden and there.
    for layer in layers:
        paths = [path.removesuffix("/.wh..wh..opq") for path, text in layer if text is not None]
        hidden = [path.removesuffix("/.wh..wh..opq") for path, text in layer if text is None]
        if any(one.startswith(f"{other}/") for one in [*paths, *hidden] for other in paths) or {*paths} & {*hidden}:
            return
    made = image(tmp_path_factory.mktemp("store"), *[[entry(*each) for each in layer] for layer in layers])
    found = {
        path.removeprefix("opt/hermes/"): stored.read_text()
        for path, stored in files(made).items()
        if stored is not None
    }
    assert found == expected(layers)


def test_a_link_is_followed_within_the_image(tmp_path: Path) -> None:
    made = image(
        tmp_path,
        [Entry("lib", link="usr/lib"), Entry("usr/lib/python3.14/os.py", "os"), Entry("up", link="../../../../usr")],
        [Entry("lib/python3.14/re.py", "re"), Entry("opt/hermes/x", link="/up/lib/python3.14/os.py")],
    )
    assert made.follow("/opt/hermes/x") == "/usr/lib/python3.14/os.py"
    assert {path for path, stored in files(made).items() if stored} == {
        "usr/lib/python3.14/os.py", "usr/lib/python3.14/re.py",
    }  # fmt: skip
    made = image(tmp_path, [Entry("a", link="b"), Entry("b", link="a")])
    with pytest.raises(Refused, match="circle"):
        made.follow("/a/x")


def test_what_is_not_needed_is_not_stored(tmp_path: Path) -> None:
    image(
        tmp_path, [Entry("usr/share/doc/x", "x"), Entry("etc/shadow", "x"), Entry("opt/hermes/tools/chromium-1/c", "x")]
    )
    assert list(tmp_path.iterdir()) == []
