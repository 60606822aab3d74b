"""Secrets: the inventory holds references, and a value exists only between its look-up and its use."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxhermes.errors import SecretError
from proxhermes.inventory.fields import Model, mistake
from proxhermes.redaction import register_secret

MASK: Final = "********"
COMMAND_DEADLINE_S: Final = 60.0
HOW_TO_REFERENCE: Final = "{env: NAME}, {file: PATH} or {command: [PROGRAM, ARG, …]}"
API_TOKEN_VARIABLE: Final = "PROXMOX_VE_API_TOKEN"  # noqa: S105 - a variable's name


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer, should it be a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class Secret:
    """A secret's value. It prints as a mask however it is printed; `reveal()` gives the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written anywhere")


@dataclass(slots=True)
class SecretSource:
    """Where references are looked up: the inventory's folder and the environment. Each one is looked up once."""

    folder: Path
    environ: Mapping[str, str]
    _known: dict[str, Secret] = field(default_factory=dict, repr=False)

    def resolve(self, reference: SecretRef) -> Secret:
        """The secret behind `reference`. Raises SecretError, which names the reference and never a value."""
        name = str(reference)
        if name not in self._known:
            value = self._checked(name, self._read(reference))
            register_secret(value)
            self._known[name] = Secret(value)
        return self._known[name]

    def _read(self, reference: SecretRef) -> str:
        if reference.env is not None:
            return self._from_environment(reference.env)
        if reference.file is not None:
            return self._from_file(reference.file)
        return self._from_command(reference.command or ())

    def _from_environment(self, name: str) -> str:
        if name not in self.environ:
            raise SecretError(f"the environment variable {name} is not set", hint=f"export {name}=… before the command")
        value = self.environ[name]
        if name == API_TOKEN_VARIABLE and "=" in value:  # user@realm!id=secret, as other Proxmox tools have it
            return value.partition("=")[2]
        return value

    def _from_file(self, written: str) -> str:
        path = self.folder / Path(written).expanduser()
        try:
            with open(path, "rb", opener=_at_once) as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise SecretError(f"the secret file {path} is not a plain file")
                if mode & stat.S_IROTH:
                    raise SecretError(f"the secret file {path} can be read by everybody", hint=f"chmod 600 {path}")
                return file.read().decode()
        except OSError as error:
            raise SecretError(f"the secret file {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            # The cause is cut off: its message holds the bytes.
            raise SecretError(f"the secret file {path} is not text in UTF-8") from None

    def _from_command(self, command: tuple[str, ...]) -> str:
        shown = shlex.join(command)
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=dict(self.environ),
            ) as process:
                try:
                    output, _ = process.communicate(timeout=COMMAND_DEADLINE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
        except subprocess.TimeoutExpired:
            raise SecretError(f"the secret command `{shown}` did not end within {COMMAND_DEADLINE_S:g} s") from None
        except OSError as error:
            raise SecretError(f"the secret command `{shown}` cannot be run: {error.strerror}") from None
        if process.returncode != 0:
            # What it printed may hold the secret, so only its code is told (and its standard error is not read).
            raise SecretError(
                f"the secret command `{shown}` ended with code {process.returncode}",
                hint="run it by hand to see what it says",
            )
        try:
            return output.decode()
        except UnicodeDecodeError:
            raise SecretError(f"the secret command `{shown}` printed something that is not text in UTF-8") from None

    @staticmethod
    def _checked(name: str, value: str) -> str:
        value = value.rstrip("\r\n")
        if not value.strip():
            raise SecretError(f"the secret {name} is empty")
        if re.search(r"[\x00-\x1f\x7f]", value):
            # It ends in a line of Hermes' .env or of an HTTP header; neither can carry a second line.
            raise SecretError(f"the secret {name} holds a line break or a control character; it must be one line")
        return value


class SecretRef(Model):
    """A reference to a secret: an environment variable, a file, or a command that prints it.

    Looked up by `resolve()`, so that a command of proxhermes that needs no secret asks for none.
    """

    env: str | None = Field(default=None, description="Name of the environment variable that holds the secret.")
    file: str | None = Field(
        default=None,
        description="File with the secret on one line, relative to the inventory; not readable by everybody.",
    )
    command: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        description="Program and arguments, run without a shell, that print the secret.",
    )

    _source: SecretSource | None = PrivateAttr(default=None)

    NAME: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

    @model_validator(mode="before")
    @classmethod
    def _refuse_literal(cls, data: object) -> object:
        if isinstance(data, (cls, dict)):
            return data
        raise mistake(
            "a secret is never written here, only a reference to it",
            f"{HOW_TO_REFERENCE}; if this value is a real one, change it, since it has been in a file",
        )

    @field_validator("env")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not cls.NAME.fullmatch(value):
            # Not repeated: someone may have put the secret itself here.
            raise mistake("this is not the name of an environment variable", "{env: MY_VARIABLE}")
        return value

    @field_validator("file")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\x00-\x1f\x7f]+", value):
            raise mistake("this is not a path", "{file: PATH}")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(way is not None for way in (self.env, self.file, self.command)) != 1:
            raise mistake("a secret reference has exactly one way to the secret", HOW_TO_REFERENCE)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Take the SecretSource from the validation context, so that `resolve()` needs no argument."""
        if isinstance(context, SecretSource):
            self._source = context

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        def way(name: str, value: dict[str, Any]) -> dict[str, Any]:
            described = {**value, "description": cls.model_fields[name].description}
            return {
                "type": "object",
                "properties": {name: described},
                "required": [name],
                "additionalProperties": False,
            }

        text = {"type": "string", "minLength": 1}
        return {
            "title": cls.__name__,
            "description": "A reference to a secret; the secret itself is never written.",
            "anyOf": [
                way("env", {"type": "string", "pattern": f"^{cls.NAME.pattern}$"}),
                way("file", text),
                way("command", {"type": "array", "items": text, "minItems": 1}),
            ],
        }

    def resolve(self) -> Secret:
        """The secret. Raises SecretError. Outside an inventory: this process' environment and current folder."""
        return (self._source or SecretSource(Path.cwd(), os.environ)).resolve(self)

    def __str__(self) -> str:
        if self.env is not None:
            return f"{{env: {self.env}}}"
        if self.file is not None:
            return f"{{file: {self.file}}}"
        return f"{{command: {shlex.join(self.command or ())}}}"
