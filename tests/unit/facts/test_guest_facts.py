"""The guest's facts: read from what the script prints, and nothing of it in an exception."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from proxhermes import upstream
from proxhermes.errors import CommandFailed, DeadlineExceeded
from proxhermes.facts import guest
from proxhermes.inventory.secrets import Secret
from proxhermes.transport.command import CommandResult


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OUTPUT = f"""\
os.id=debian
os.version=13
dpkg.broken=no
package.curl=8.14.1-2
package.docker.io=26.1.5+dfsg1-9
mtu=1450
docker.enabled=yes
docker.client=26.1.5+dfsg1
docker.server=26.1.5+dfsg1
docker.driver=overlay2
compose.version=2.26.1-4
image.id=sha256:aa
container.image=sha256:aa
container.status=running
container.pid=412
container.project=hermes
container.folder=/opt/hermes
container.hash=abc
compose.hash=abc
gateway.health=200
file.env=10000 10000 600 regular file
file.env:b64={encoded("A=1" + chr(10))}
file.config=10000 10000 640 regular empty file
file.config:b64=
file.data=10000 10000 700 directory
file.pending=0 0 644 symbolic link
file.state=10000 10000 644 regular file
file.state:b64={encoded('{"platforms": {}}')}
mount./data=yes
mount./a=b=no
place./opt/a=b=empty
tree.home:a=b.md=10000 10001 640 abcdef w regular file
tree.home:=0 0 750 - - directory
service.status=running
service.unit.hash=abc
litellm.status=200
litellm.models:b64={encoded('{"data": []}')}
facts=complete
"""


class FakeGuest:
    """Stands in for the guest's door: keeps what it was sent, answers what it was told to."""

    def __init__(self, result: CommandResult | CommandFailed) -> None:
        self.result = result
        self.bundle: dict[str, tuple[bytes, int]] = {}
        self.args: Sequence[str] = ()

    def run(self, bundle: Any, entry: str, args: Sequence[str], **options: Any) -> CommandResult:
        self.bundle, self.args = dict(bundle), args
        assert options["check"] is False
        assert options.get("on_line") is None  # its lines hold .env
        if isinstance(self.result, CommandFailed):
            raise self.result
        return self.result


def test_every_fact_is_read() -> None:
    facts = guest.parse(OUTPUT)
    assert (facts.os_id, facts.os_version, facts.mtu, facts.dpkg_broken) == ("debian", "13", 1450, False)
    assert facts.packages == {"curl": "8.14.1-2", "docker.io": "26.1.5+dfsg1-9"}
    assert facts.docker == guest.Docker("26.1.5+dfsg1", "overlay2", "2.26.1-4", True)
    assert facts.container is not None
    assert (facts.container.image, facts.container.status) == ("sha256:aa", "running")
    assert (facts.image_id, facts.compose_hash, facts.health) == ("sha256:aa", "abc", 200)
    assert facts.files["env"] == guest.File(10000, 10000, 0o600, "regular file", b"A=1\n")
    assert facts.content("config") == b""
    assert facts.content("data") is None
    assert facts.content("pending") is None  # a link is not followed
    assert facts.gateway_state == {"platforms": {}}
    assert facts.mounted == {"/data": True, "/a=b": False}
    assert facts.places == {"/opt/a=b": guest.Place.EMPTY}
    assert facts.tree["home:a=b.md"] == guest.Seen("regular file", 0o640, 10000, 10001, "abcdef")
    assert facts.tree["home:"] == guest.Seen("directory", 0o750, 0, 0, None, writable=False)
    assert (facts.service.status, facts.service.facts["unit.hash"]) == ("running", "abc")
    assert facts.litellm is not None
    assert (facts.litellm.status, facts.litellm.models) == (200, '{"data": []}')


def test_an_empty_guest_has_no_facts_to_speak_of() -> None:
    facts = guest.parse("os.id=debian\nfacts=complete\n")
    assert facts.docker is None
    assert facts.container is None
    assert facts.litellm is None
    assert facts.files == {}
    assert facts.gateway_state == {}


def test_a_docker_that_does_not_answer_is_there_with_its_error() -> None:
    facts = guest.parse(f"docker.client=\ndocker.error:b64={encoded('Cannot connect' + chr(10))}\nfacts=complete\n")
    assert facts.docker == guest.Docker(error="Cannot connect")


def test_the_key_travels_as_a_file_for_curl(make_agent: Any) -> None:
    fake = FakeGuest(CommandResult(0, OUTPUT, ""))
    guest.read_guest(make_agent(), fake, Secret('sk-"quoted"\\'))  # type: ignore[arg-type]
    content, mode = fake.bundle["litellm.curl"]
    assert content == b'header = "Authorization: Bearer sk-\\"quoted\\"\\\\"\nnoproxy = "*"\n'
    assert mode == 0o600
    assert not any("sk-" in argument for argument in fake.args)
    assert fake.args == ["/data", "/fast"]
    assert b"\nlitellm=http://10.1.10.22:4000/v1\n" in fake.bundle["agent.sh"][0]


@pytest.mark.parametrize(
    "result",
    [
        CommandResult(1, OUTPUT, ""),
        CommandResult(0, OUTPUT.replace("facts=complete\n", ""), ""),
        CommandFailed("cut off", command="pct exec", rc=255, stdout=OUTPUT),
    ],
)
def test_no_failure_carries_what_the_script_printed(make_agent: Any, result: Any) -> None:
    with pytest.raises(CommandFailed) as caught:
        guest.read_guest(make_agent(), FakeGuest(result), None)  # type: ignore[arg-type]
    assert encoded("A=1\n") not in repr(vars(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_no_representation_holds_a_files_content() -> None:
    assert "A=1" not in repr(guest.parse(OUTPUT))


@pytest.mark.parametrize(
    "label", ["home:x:b64", "/x\vos.id=evil\v", "home:\u2028os.id=evil", "/x\rfacts", "home:a=b:b64"]
)
def test_a_name_of_the_agents_is_no_fact_but_its_files(label: str) -> None:
    facts = guest.parse(f"os.id=debian\ntree.{label}=1 1 640 - - fifo\nplace./opt/x:b64=empty\n")
    assert facts.tree == {label: guest.Seen("fifo", 0o640, 1, 1, None, writable=False)}
    assert (facts.os_id, facts.places) == ("debian", {"/opt/x:b64": guest.Place.EMPTY})


@pytest.mark.parametrize("written", ["[" * 200_000, "[]", "{", "null", '"\\ud800"'])
def test_a_state_that_nobody_wrote_is_none(written: str) -> None:
    assert guest.parse_state(written.encode()) == {}


def test_a_guest_that_is_too_slow_leaves_no_fact_in_the_log(make_agent: Any) -> None:
    waiting = "waiting for another run of proxhermes in this guest"

    class Slow:
        def run(self, *_: Any, **__: Any) -> CommandResult:
            raise DeadlineExceeded("too slow", log=("os.id=debian", f"file.env:b64={encoded('KEY=secret')}", waiting))

    slow: Any = Slow()
    with pytest.raises(DeadlineExceeded) as caught:
        guest.read_guest(make_agent(), slow, None)
    assert caught.value.log == (waiting,)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("0.22.2.post1 50", upstream.Code("0.22.2.post1", 50)),
        ("0.22.2", None),
        ("0.22.2 fifty", None),
        ("../../etc 50", None),
        ("0.22.2 50\x1b[2J", None),
        (f"0.{'1' * 60} 50", None),
    ],
)
def test_what_an_installed_hermes_says_of_itself_is_read_strictly(told: str, code: upstream.Code | None) -> None:
    assert guest.parse(f"code.sha256:1={told}\nfacts=complete\n").codes.get("sha256:1") == code


ONE = "a/b@sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("told", "digests"),
    [
        (f'["{ONE}", "docker.io/{ONE}", "r.lan:5000/{ONE}"]', (ONE, f"docker.io/{ONE}", f"r.lan:5000/{ONE}")),
        (f'["{ONE}0", "{ONE} ", "a/b:1", "a/b@sha256:../x", 7, null, ["{ONE}"], "\\u001b@{ONE}", "{ONE}"]', (ONE,)),
        ("[]", ()),
        ("null", ()),
        ("", ()),
        (ONE, ()),
        ("[" * 100_000, ()),
    ],
)
def test_of_an_images_digests_those_count_that_are_some(told: str, digests: tuple[str, ...]) -> None:
    facts = guest.parse(f"image.id=sha256:aa\nimage.digests={told}\nfacts=complete\n")
    assert (facts.image_id, facts.image_digests) == ("sha256:aa", digests)


@pytest.mark.parametrize(
    ("told", "architecture"), [('"arm64"', "arm64"), ('"a\\nb"', ""), ('""', ""), ("7", ""), ("arm64", "")]
)
def test_an_images_architecture_is_one_word(told: str, architecture: str) -> None:
    assert guest.parse(f"image.architecture={told}\nfacts=complete\n").image_architecture == architecture
