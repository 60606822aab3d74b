"""Secrets: the inventory holds references, and a value exists only between its look-up and its use."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxhermes.errors import SecretError
from proxhermes.inventory import lookup
from proxhermes.inventory.fields import Model, mistake
from proxhermes.redaction import register_secret

MASK: Final = "********"
HOW_TO_REFERENCE: Final = (
    "{env: NAME}, {file: PATH}, {command: [PROGRAM, ARG, …]}, {age: FILE, identity: FILE}, {keyring: SERVICE/USER} "
    "or {prompt: QUESTION}"
)
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_OR_LINE: Final = re.compile(r"[\x00-\x1f\x7f]")


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


def _is_text(value: str) -> bool:
    """Whether it has none of the halves of characters that Python reads bytes as that are no text."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def mask_everywhere(value: str) -> None:
    """Have a secret masked that was not behind a reference, in whatever is shown or logged from now on."""
    register_secret(value)


@dataclass(slots=True)
class SecretSource:
    """Where references are looked up: the inventory's folder, the environment, and who asks the operator.

    Each one is looked up once.
    """

    folder: Path
    environ: Mapping[str, str]
    ask: Callable[[str], str] = lookup.from_prompt
    _known: dict[str, Secret] = field(default_factory=dict, repr=False)

    def resolve(self, reference: SecretRef, *, lines: bool = False) -> Secret:
        """The secret behind `reference`. lines: it may be of several.

        Raises SecretError, which names the reference and never a value; Interrupted where the answer is Ctrl-C.
        """
        name = str(reference)
        if name not in self._known:
            value = self._look_up(reference).removeprefix("\ufeff").rstrip("\r\n")
            if not value.strip():
                raise SecretError(f"the secret {name} is empty")
            if not _is_text(value):
                raise SecretError(f"the secret {name} is not text in UTF-8")
            register_secret(value)
            self._known[name] = Secret(value)
        if (_CONTROL if lines else _CONTROL_OR_LINE).search(self._known[name].reveal()):
            # It ends in the header of an HTTP request, or the like, which cannot carry a second line.
            unfit = "a control character" if lines else "a line break or a control character; it must be one line"
            raise SecretError(f"the secret {name} holds {unfit}")
        return self._known[name]

    def _look_up(self, reference: SecretRef) -> str:
        if reference.env is not None:
            return lookup.from_environment(reference.env, self.environ)
        if reference.file is not None:
            return lookup.from_file(self._path(reference.file))
        if reference.age is not None and reference.identity is not None:
            return lookup.from_age(self._path(reference.age), self._path(reference.identity), self.environ)
        if reference.keyring is not None:
            return lookup.from_keyring(reference.keyring)
        if reference.prompt is not None:
            return self.ask(reference.prompt)
        return lookup.from_command(reference.command or (), self.folder, self.environ)

    def _path(self, written: str) -> Path:
        return self.folder / Path(written).expanduser()


class SecretRef(Model):
    """A reference to a secret: an environment variable, a file, a command that prints it, and so on.

    Looked up by `resolve()`, so that a command of proxhermes that needs no secret asks for none.
    """

    env: str | None = Field(default=None, description="Name of the environment variable that holds the secret.")
    file: str | None = Field(
        default=None, description="File with the secret, relative to the inventory; not readable by everybody."
    )
    command: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        min_length=1,
        description="Program and arguments, run without a shell, that print the secret.",
        examples=[["pass", "show", "hermes/token"]],
    )
    age: str | None = Field(
        default=None, description="File with the secret that `age` encrypted, relative to the inventory."
    )
    identity: str | None = Field(
        default=None, description="File with the key for `age`, relative to the inventory; not readable by everybody."
    )
    keyring: str | None = Field(
        default=None, description="SERVICE/USER in the keyring of the desktop (with `proxhermes[keyring]`)."
    )
    prompt: str | None = Field(default=None, description="Question that the operator answers at the terminal.")

    _source: SecretSource | None = PrivateAttr(default=None)

    NAME: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    WAYS: ClassVar[tuple[str, ...]] = ("env", "file", "command", "age", "keyring", "prompt")

    @model_validator(mode="before")
    @classmethod
    def _refuse_literal(cls, data: object) -> object:
        if isinstance(data, (SecretRef, dict)):
            return data
        if data in (None, ""):
            raise mistake("nothing stands here", HOW_TO_REFERENCE)
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

    @field_validator("file", "age", "identity")
    @classmethod
    def _a_path(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not _LINE.fullmatch(value):
            raise mistake("this is not a path", f"{{{info.field_name}: PATH}}")
        return value

    @field_validator("keyring")
    @classmethod
    def _service_and_user(cls, value: str | None) -> str | None:
        if value is not None and not (_LINE.fullmatch(value) and all(value.rpartition("/"))):
            raise mistake("this is no entry of a keyring", "{keyring: SERVICE/USER}")
        return value

    @field_validator("prompt")
    @classmethod
    def _a_question(cls, value: str | None) -> str | None:
        if value is not None and not _LINE.fullmatch(value):
            raise mistake("this is not a question", '{prompt: "LiteLLM\'s key"}')
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(getattr(self, way) is not None for way in self.WAYS) != 1:
            raise mistake("a secret reference has exactly one way to the secret", HOW_TO_REFERENCE)
        if (self.age is None) != (self.identity is None):
            raise mistake("`age` and `identity` belong together", "{age: FILE, identity: FILE}")
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Take the SecretSource from the validation context, so that `resolve()` needs no argument."""
        if isinstance(context, SecretSource):
            self._source = context

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text = {"type": "string", "minLength": 1}
        written: dict[str, dict[str, Any]] = dict.fromkeys((*cls.WAYS, "identity"), text) | {
            "env": {"type": "string", "pattern": f"^{cls.NAME.pattern}$"},
            "command": {"type": "array", "items": text, "minItems": 1},
            "keyring": {"type": "string", "pattern": "^.+/[^/]+$"},
        }

        def way(*names: str) -> dict[str, Any]:
            described = {name: {**written[name], "description": cls.model_fields[name].description} for name in names}
            return {
                "type": "object",
                "properties": described,
                "required": list(names),
                "additionalProperties": False,
            }

        return {
            "title": cls.__name__,
            "description": "A reference to a secret; the secret itself is never written.",
            "anyOf": [way(name, "identity") if name == "age" else way(name) for name in cls.WAYS],
        }

    def resolve(self, *, lines: bool = False) -> Secret:
        """The secret; lines: it may be of several. Raises SecretError.

        Outside an inventory: this process' environment and current folder.
        """
        return (self._source or SecretSource(Path.cwd(), os.environ)).resolve(self, lines=lines)

    def __str__(self) -> str:
        way = next(name for name in self.WAYS if getattr(self, name) is not None)
        value = shlex.join(self.command) if self.command is not None else getattr(self, way)
        return f"{{{way}: {value}{f', identity: {self.identity}' if self.identity else ''}}}"


class SecretFile(SecretRef):
    """A file of the operator's with secrets in it: its path, or a reference as for any secret."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: object) -> object:
        return {"file": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = super().__get_pydantic_json_schema__(schema, handler)
        return {**reference, "anyOf": [{"type": "string", "minLength": 1}, *reference["anyOf"]]}
