"""The ways to a secret that need a program, a library or somebody at the terminal, each tried for real."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxhermes.errors import SecretError
from proxhermes.inventory import load
from proxhermes.inventory.secrets import SecretFile, SecretRef, SecretSource
from proxhermes.redaction import redact

SECRET = "hunter2-hunter2"
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def reference(folder: Path, **ways: object) -> SecretRef:
    return SecretRef.model_validate(ways, context=SecretSource(folder, ENVIRON))


def refused(found: SecretRef) -> SecretError:
    """The error of a look-up, which holds the secret nowhere."""
    with pytest.raises(SecretError) as caught:
        found.resolve()
    error = caught.value
    assert SECRET not in f"{error} {error.hint} {error.__cause__}"
    return error


# --- age ----------------------------------------------------------------------------------------------------------

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


@pytest.fixture
def age(tmp_path: Path) -> Callable[..., None]:
    """Encrypt the secret to the key in `key`, as the operator does."""

    def keygen(name: str) -> str:
        subprocess.run(["age-keygen", "-o", str(tmp_path / name)], check=True, capture_output=True)
        (tmp_path / name).chmod(0o600)
        shown = subprocess.run(["age-keygen", "-y", str(tmp_path / name)], check=True, capture_output=True, text=True)
        return shown.stdout.strip()

    def encrypt(text: str = f"{SECRET}\n", *flags: str) -> None:
        command = ["age", "--recipient", recipient, "--output", str(tmp_path / "secret.age"), *flags]
        subprocess.run(command, input=text.encode(), check=True)

    recipient = keygen("key")
    keygen("other")
    encrypt()
    return encrypt


@needs_age
def test_age_decrypts_with_the_identity(tmp_path: Path, age: Callable[..., None]) -> None:
    assert reference(tmp_path, age="secret.age", identity="key").resolve().reveal() == SECRET
    assert redact(f"it is {SECRET}.") == "it is ********."
    age("two\nlines\n", "--armor")
    found = reference(tmp_path, age=str(tmp_path / "secret.age"), identity=str(tmp_path / "key"))
    assert found.resolve(lines=True).reveal() == "two\nlines"
    with pytest.raises(SecretError, match="one line"):
        found.resolve()


@needs_age
@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("mv other key", "secret.age cannot be decrypted: it is not encrypted for this identity"),
        ("rm key", "age identity .*key cannot be read: No such file"),
        ("chmod 604 key", "age identity .*key can be read by everybody"),
        ("rm secret.age", "age file .*secret.age is not there"),
        ("echo hunter2-hunter2 > secret.age", "secret.age cannot be decrypted: it is no file of age's"),
        ("echo hunter2-hunter2 > key", "secret.age cannot be decrypted: the identity holds no key that age can read"),
        (": > key", "secret.age cannot be decrypted: the identity holds no key"),
        ("truncate -s -1 secret.age", "secret.age cannot be decrypted: age ended with code 1"),
        ("cat secret.age > key", "identity .*key is protected by a passphrase, which nobody types here"),
        (
            "ssh-keygen -qt ed25519 -N phrase -f ssh; mv ssh key; echo hunter2-hunter2 | age -R ssh.pub -o secret.age",
            "needs a passphrase, which nobody types here",
        ),
    ],
)
def test_what_age_cannot_decrypt_is_told_without_a_value(
    tmp_path: Path, age: Callable[..., None], prepare: str, words: str
) -> None:
    subprocess.run(["sh", "-ec", prepare], cwd=tmp_path, check=True)
    error = refused(reference(tmp_path, age="secret.age", identity="key"))
    assert re.search(words, error.message)


@needs_age
def test_age_that_is_not_installed_is_named(tmp_path: Path, age: Callable[..., None]) -> None:
    source = SecretSource(tmp_path, {"PATH": "/nonexistent"})
    found = SecretRef.model_validate({"age": "secret.age", "identity": "key"}, context=source)
    error = refused(found)
    assert (error.message, error.hint) == ("age cannot be run: No such file or directory", "apt-get install age")


# --- keyring ------------------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real keyring in a file, in place of the desktop's, and the library as it was before."""
    library = pytest.importorskip("keyring")
    before = library.get_keyring()
    yield library
    library.set_keyring(before)


@pytest.fixture
def in_file(keyring: Any, tmp_path: Path) -> Any:
    backend = pytest.importorskip("keyrings.alt.file").PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    return keyring


def test_the_keyring_is_asked_for_service_and_user(in_file: Any, tmp_path: Path) -> None:
    in_file.set_password("hermes/agent 118", "litellm", SECRET)
    assert reference(tmp_path, keyring="hermes/agent 118/litellm").resolve().reveal() == SECRET
    error = refused(reference(tmp_path, keyring="hermes/telegram"))
    assert (error.message, error.hint) == ("the keyring has no hermes/telegram", "keyring set hermes telegram")


def test_a_machine_without_a_keyring_is_told(keyring: Any, tmp_path: Path) -> None:
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    assert "there is no keyring on this machine" in refused(reference(tmp_path, keyring="hermes/x")).message


def test_a_keyring_that_does_not_open_is_told_without_its_words(in_file: Any, tmp_path: Path) -> None:
    from keyring.errors import KeyringLocked

    def locked(*_: str) -> str:
        raise KeyringLocked(SECRET)

    in_file.get_keyring().get_password = locked
    error = refused(reference(tmp_path, keyring="hermes/x"))
    assert "does not open (KeyringLocked)" in error.message
    assert error.hint == "by hand: keyring get hermes x"


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert refused(reference(tmp_path, keyring="hermes/x")).hint == "pip install 'proxhermes[keyring]'"


# --- prompt -------------------------------------------------------------------------------------------------------

INVENTORY = """\
import sys
from pathlib import Path
from proxhermes.cli.context import Context
from proxhermes.cli.failure import describe
from proxhermes.errors import ProxhermesError

context = Context(inventory_option=Path(sys.argv[1]))
(agent,) = context.agents(())
with context.events.step("something that is drawn"):
    for _ in range(2):
        try:
            found = agent.litellm.api_key.resolve()
        except ProxhermesError as error:
            print("\\n".join(describe(error)), error.exit_code)
            sys.exit()
context.close()
print(f"typed: {len(found.reveal())} {found}")
"""


def at_a_terminal(path: Path, typed: bytes) -> str:
    """What is seen on a terminal on which `typed` answers the question once it stands there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", INVENTORY, str(path)], {**os.environ, "TERM": "xterm"})
    seen = b""
    answered = False
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: the other side is closed
            break
        seen += chunk
        if not answered and b"LiteLLM's key: " in seen:
            answered = True
            os.write(terminal, typed)
        if not chunk:
            break
    os.close(terminal)
    os.waitpid(pid, 0)
    return seen.decode()


@pytest.fixture
def asking(tmp_path: Path, smallest: str) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(smallest.replace("{env: LITELLM_API_KEY}", "{prompt: LiteLLM's key}"))
    return path


def test_the_operator_is_asked_once_unseen_and_with_nothing_drawn_over_it(asking: Path) -> None:
    seen = at_a_terminal(asking, f"{SECRET}\n".encode())
    assert f"typed: {len(SECRET)} ********" in seen
    assert seen.count("LiteLLM's key: ") == 1
    assert SECRET not in seen
    after = seen.partition("LiteLLM's key: ")[2]
    assert after.startswith("\r\n"), "nothing is drawn while the question stands"


def test_ctrl_c_is_an_answer(asking: Path) -> None:
    seen = at_a_terminal(asking, b"\x03")
    assert "nobody answered {prompt: LiteLLM's key} 130" in " ".join(seen.split())
    assert "typed" not in seen


def test_without_a_terminal_nobody_is_asked(asking: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", INVENTORY, str(asking)],
        input=SECRET,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=True,
    )
    assert "{prompt: LiteLLM's key} wants somebody to type it, and there is no terminal" in run.stdout
    assert SECRET not in run.stdout + run.stderr


def test_reading_the_inventory_asks_nobody(asking: Path) -> None:
    asked: list[str] = []
    inventory = load(asking, {}, ask=lambda question: asked.append(question) or SECRET)
    assert asked == []
    for _ in range(2):
        inventory.agents[118].litellm.api_key.resolve()
    assert asked == ["LiteLLM's key"]


# --- how they are written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{age: a}", "`age` and `identity` belong together"),
        ("{identity: a}", "exactly one way"),
        ("{env: A, identity: b}", "`age` and `identity` belong together"),
        ("{age: a, identity: b, env: C}", "exactly one way"),
        ("{keyring: hermes}", "no entry of a keyring"),
        ("{keyring: /user}", "no entry of a keyring"),
        ("{keyring: service/}", "no entry of a keyring"),
        ('{prompt: "a\\nb"}', "not a question"),
        ("{prompt: ''}", "not a question"),
        ("{age: a, identity: ''}", "not a path"),
    ],
)
def test_what_is_no_reference(problems: Any, smallest: str, written: str, words: str) -> None:
    (problem, *_) = problems(smallest.replace("{env: LITELLM_API_KEY}", written))
    assert problem.path.startswith("litellm.api_key")
    assert words in problem.message


def test_one_way_over_another_in_the_defaults_replaces_it(read: Any, smallest: str) -> None:
    text = smallest.replace("{env: LITELLM_API_KEY}", "{age: a.age, identity: key}")
    text += "    litellm: {api_key: {keyring: hermes/x}}\n"
    assert str(read(text).agents[118].litellm.api_key) == "{keyring: hermes/x}"


def test_a_file_of_logins_may_be_a_path_alone(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text("{}\n")
    (tmp_path / "auth.json").chmod(0o600)
    source = SecretSource(tmp_path, {})
    for written in ("auth.json", {"file": "auth.json"}):
        assert SecretFile.model_validate(written, context=source).resolve().reveal() == "{}"


def test_a_secret_of_several_lines_is_looked_up_once(tmp_path: Path) -> None:
    found = reference(tmp_path, command=["sh", "-c", "echo ran >> ran; printf 'a\\nb\\n\\n'"])
    assert [found.resolve(lines=True).reveal() for _ in range(2)] == ["a\nb"] * 2
    assert (tmp_path / "ran").read_text() == "ran\n"
    with pytest.raises(SecretError, match="control character"):
        reference(tmp_path, command=["printf", "a\\033b"]).resolve(lines=True)


def test_ctrl_c_is_as_before_after_a_question() -> None:
    from proxhermes.cli.context import ctrl_c_answers

    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_answers():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is before
