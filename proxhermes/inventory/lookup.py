"""The ways to a secret: each asks one place, and raises SecretError with words that never hold a value."""

from __future__ import annotations

import getpass
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from proxhermes.errors import Interrupted, SecretError

COMMAND_DEADLINE_S: Final = 60.0
API_TOKEN_VARIABLE: Final = "PROXMOX_VE_API_TOKEN"  # noqa: S105 - a variable's name
_AGE_FILE: Final = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
_AGE_SAYS: Final = {
    "no identity matched": "it is not encrypted for this identity",
    "passphrase": "it, or the identity, needs a passphrase, which nobody types here",
    "is an SSH key": "the identity is an SSH key that age cannot use",
    "failed to read header": "it is no file of age's",
    "malformed secret key": "the identity holds no key that age can read",
    "unknown identity type": "the identity holds no key that age can read",
    "no secret keys found": "the identity holds no key",
    "no identities found": "the identity holds no key",
}


def from_environment(name: str, environ: Mapping[str, str]) -> str:
    """The variable's value; of the Terraform provider's token, its secret part."""
    if name not in environ:
        raise SecretError(f"the environment variable {name} is not set", hint=f"export {name}=… before the command")
    value = environ[name]
    if name == API_TOKEN_VARIABLE and "=" in value:  # user@realm!id=secret, as other Proxmox tools have it
        return value.partition("=")[2]
    return value


def from_file(path: Path) -> str:
    """The content of a file that is not open to everybody."""
    return _text(_closed_file(path, "secret file"), f"the secret file {path} is")


def from_command(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """What a program prints, run without a shell in `folder`; its standard error is not read."""
    shown = f"the secret command `{shlex.join(command)}`"
    try:
        code, output, _ = _run(command, shown, folder, environ, COMMAND_DEADLINE_S)
    except OSError as error:
        raise SecretError(f"{shown} cannot be run: {error.strerror}") from None
    if code != 0:
        # What it printed may hold the secret, so only its code is told.
        raise SecretError(f"{shown} ended with code {code}", hint="run it by hand to see what it says")
    return _text(output, f"{shown} printed something that is")


def from_age(file: Path, identity: Path, environ: Mapping[str, str]) -> str:
    """The text that age decrypts `file` to. An identity under a passphrase is refused: nobody is asked for it."""
    key = _closed_file(identity, "age identity")
    if key.startswith(_AGE_FILE):
        raise SecretError(
            f"the age identity {identity} is protected by a passphrase, which nobody types here",
            hint=f"an identity of its own for this machine (age-keygen -o KEY), or {{command: […]}}; "
            f"by hand: age --decrypt --identity {identity} {file}",
        )
    if not file.is_file():
        raise SecretError(f"the age file {file} is not there")
    command = ["age", "--decrypt", "--identity", str(identity), str(file)]
    try:
        code, output, said = _run(command, "age", file.parent, environ, COMMAND_DEADLINE_S, alone=True)
    except OSError as error:
        raise SecretError(f"age cannot be run: {error.strerror}", hint="apt-get install age") from None
    if code != 0:
        told = said.decode(errors="replace")
        why = next((words for mark, words in _AGE_SAYS.items() if mark in told), f"age ended with code {code}")
        raise SecretError(
            f"the age file {file} cannot be decrypted: {why}",
            hint=f"by hand: age --decrypt --identity {identity} {file}",
        )
    return _text(output, f"the age file {file} holds something that is")


def from_keyring(entry: str) -> str:
    """The password of `SERVICE/USER` in the operator's keyring, through the library `keyring`, an optional extra."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise SecretError(
            f"{{keyring: {entry}}} needs the library keyring", hint="pip install 'proxhermes[keyring]'"
        ) from None
    service, _, user = entry.rpartition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise SecretError(
            f"{{keyring: {entry}}}: there is no keyring on this machine",
            hint="a desktop has one (Secret Service, KWallet); without, another way: {age: …} or {command: […]}",
        ) from None
    except keyring.errors.KeyringError as error:
        # Backends put into their message what they like, so only its kind is told.
        raise SecretError(
            f"{{keyring: {entry}}}: the keyring does not open ({type(error).__name__})",
            hint=f"by hand: keyring get {service} {user}",
        ) from None
    if value is None:
        raise SecretError(f"the keyring has no {entry}", hint=f"keyring set {service} {user}")
    return value


def from_prompt(text: str) -> str:
    """What somebody types at the terminal, unseen. Without one: an error, and never standard input in its place."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise SecretError(
            f"{{prompt: {text}}} wants somebody to type it, and there is no terminal",
            hint="unattended, another way to this secret: {env: …}, {file: …}, {age: …}",
        ) from None
    sys.stderr.flush()
    try:
        return getpass.getpass(f"{text}: ")
    except (EOFError, KeyboardInterrupt):
        raise Interrupted(f"nobody answered {{prompt: {text}}}") from None


def _closed_file(path: Path, what: str) -> bytes:
    """The content of a plain file that is not readable by everybody."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SecretError(f"the {what} {path} is not a plain file")
            if mode & stat.S_IROTH:
                raise SecretError(f"the {what} {path} can be read by everybody", hint=f"chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise SecretError(f"the {what} {path} cannot be read: {error.strerror}") from None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer, should it be a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _run(
    command: Sequence[str],
    shown: str,
    folder: Path,
    environ: Mapping[str, str],
    deadline: float,
    *,
    alone: bool = False,
) -> tuple[int, bytes, bytes]:
    """Run it without input: code, standard output, standard error. Raises OSError where it cannot be run.

    deadline: seconds. alone: without the terminal, so that it cannot ask there, beneath what is drawn, and with its
    standard error read; else that is thrown away, for it may hold the secret.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if alone else subprocess.DEVNULL,
        cwd=folder,
        env=dict(environ),
        start_new_session=alone,
    ) as process:
        try:
            output, said = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            raise SecretError(f"{shown} did not end within {deadline:g} s") from None
    return process.returncode, output, said or b""


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        # The cause is cut off: its message holds the bytes.
        raise SecretError(f"{what} not text in UTF-8") from None
