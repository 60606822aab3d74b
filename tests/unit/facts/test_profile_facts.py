"""A profile's home by the names that an agent's own home has, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxhermes.facts.guest import File, GuestFacts, parse
from proxhermes.facts.profiles import of_agent, of_profile, outward, tree_of
from proxhermes.facts.tree import Seen

ONE = Seen("regular file", 0o640, 10000, 10000, "a" * 64)
NAMES = st.sampled_from(("SOUL.md", "home.md", "workspaces", "a/home/b", "profiles/x", "skills/x/SKILL.md"))
LABELS = st.builds(lambda sign, name: f"{sign}{name}", st.sampled_from(("home:", "user_home:", "workspace:")), NAMES)


@given(st.sets(LABELS | st.sampled_from(("home:", "user_home:", "workspace:", "/data/AGENTS.md"))))
def test_every_name_comes_back(labels: set[str]) -> None:
    seen = dict.fromkeys(outward("work", labels), ONE)
    assert tree_of(seen, "work").keys() == labels
    assert tree_of(seen, "wor").keys() == {label for label in labels if label.startswith("/")}


def test_a_profile_has_its_own_files_and_the_agent_the_others() -> None:
    def file(text: bytes) -> File:
        return File(1, 1, 0o640, "regular file", text)

    facts = GuestFacts(
        files={"env": file(b"a"), "env@work": file(b"w"), "last-env@work": file(b"l"), "env@other": file(b"o")},
        tree={"home:SOUL.md": ONE, "home:profiles/work/SOUL.md": ONE, "home:profiles/work/home/x": ONE},
        profiles=("other", "work"),
    )
    work = of_profile(facts, "work")
    assert (work.content("env"), work.content("last-env")) == (b"w", b"l") and "env@other" not in work.files
    assert work.tree.keys() == {"home:SOUL.md", "user_home:x"}
    assert of_agent(facts).tree.keys() == {"home:SOUL.md"}


def test_names_that_are_none_of_a_profile_are_passed_over() -> None:
    assert parse("profiles=work ../x A b_2 \n").profiles == ("work", "b_2")
