"""Which template a new container is made from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxhermes.errors import ProxhermesError
from proxhermes.facts.templates import TemplateFacts
from proxhermes.inventory.models import Agent
from proxhermes.plan.template import Template, choose, newest, storage_of

OLD = "debian-13-standard_13.6-1_amd64.tar.zst"
NEW = "debian-13-standard_13.10-1_amd64.tar.zst"
TWELVE = "debian-12-standard_12.12-1_amd64.tar.zst"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([OLD, NEW, TWELVE], NEW),
        ([OLD.replace("6-1", "6-2"), OLD], OLD.replace("6-1", "6-2")),
        (["debian-13-standard_13.10-1_arm64.tar.zst", OLD], OLD),
        ([TWELVE, "debian-13-turnkey-x_1.0-1_amd64.tar.gz", "debian-13.iso"], None),
        ([], None),
    ],
)
def test_the_newest_of_a_family(names: list[str], found: str | None) -> None:
    assert newest("debian-13", names) == found


@pytest.mark.parametrize(
    ("wanted", "volumes", "index", "template"),
    [
        ("debian-13", [OLD, NEW], [], Template(f"local:vztmpl/{NEW}")),
        ("debian-13", [OLD], [NEW], Template(f"local:vztmpl/{OLD}")),
        ("debian-13", [TWELVE], [OLD, NEW], Template(f"local:vztmpl/{NEW}", NEW)),
        (f"local:vztmpl/{OLD}", [OLD], [], Template(f"local:vztmpl/{OLD}")),
        (f"local:vztmpl/{OLD}", [], [OLD], Template(f"local:vztmpl/{OLD}", OLD)),
    ],
)
def test_choose(wanted: str, volumes: list[str], index: list[str], template: Template) -> None:
    facts = TemplateFacts("local", tuple(f"local:vztmpl/{name}" for name in volumes), tuple(index))
    assert choose(wanted, facts) == template


@pytest.mark.parametrize("wanted", ["debian-13", f"local:vztmpl/{OLD}"])
def test_nothing_fits(wanted: str) -> None:
    with pytest.raises(ProxhermesError) as caught:
        choose(wanted, TemplateFacts("local", (f"local:vztmpl/{TWELVE}",)))
    assert TWELVE in (caught.value.answer or "") and "pveam update" in (caught.value.hint or "")


def test_the_storage_whose_templates_matter(make_agent: Callable[..., Agent]) -> None:
    assert storage_of(make_agent()) == "local"
    assert storage_of(make_agent(template=f"hdd:vztmpl/{OLD}")) == "hdd"
