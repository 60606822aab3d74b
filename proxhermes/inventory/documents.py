"""Files that the agent is given: documents, files of its home, plugins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxhermes.inventory.fields import Model, Name, mistake
from proxhermes.inventory.local import LocalPath

_ELSEWHERE: Final = {
    "config.yaml": "hermes.settings",
    ".env": "hermes.environment and hermes.secrets",
    ".managed": "hermes.managed",
    "auth.json": "hermes.auth_file",
    "mcp-tokens": "hermes.mcp_tokens",
    "plugins": "hermes.plugins",
    "workspace": "hermes.documents",
    "litellm-ca.pem": "litellm.ca_file",
}
"""What an option of its own puts into HERMES_HOME."""
_STATE: Final = re.compile(
    r"(?:auth|gateway|channel_directory|context_length_cache|processes)[._-].*|.*\.(?:db|lock|pid)(?:-.*)?"
    r"|cron|sessions|logs|pairing|platforms|sandboxes|home|profiles|\.proxhermes.*|\.clean_shutdown"
)
"""What the agent itself keeps in HERMES_HOME (Hermes 0.19): the file, or the folder that it would lie in."""


def _below(value: str) -> str:
    plain = re.fullmatch(r"[^\x00-\x1f\x7f\\]+", value) and value == "/".join(PurePosixPath(value).parts)
    if not plain or value.startswith("/") or {".", ".."} & {*value.split("/")}:
        raise mistake(f"{value!r} is not a path below the folder", "as in `SOUL.md` or `notes/projects.md`")
    return value


def _home_file(value: str) -> str:
    first = value.split("/")[0]
    if option := _ELSEWHERE.get(first):
        raise mistake(f"{first} is written from another option", f"`{option}` in its place")
    if _STATE.fullmatch(first):
        raise mistake(f"{first} is the agent's own state", "files that are there to be read, as `SOUL.md`")
    return value


def _no_file_in_a_file(files: Mapping[str, Document]) -> Mapping[str, Document]:
    for path in files:
        for parent in PurePosixPath(path).parents:
            if str(parent) in files:
                raise mistake(f"{str(parent)!r} is a file, and {path!r} would lie in it", "one of the two")
    return files


class Document(Model):
    """A file's content: text that stands in the inventory, or a file beside it."""

    text: str | None = Field(default=None, description="The content.")
    file: LocalPath | None = Field(default=None, description="File with the content, relative to the inventory.")

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.text is None) == (self.file is None):
            raise mistake("a document has exactly one content", "its text, or {file: PATH}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The written form may be the text alone."""
        block = handler.resolve_ref_schema(handler(schema))
        return {"title": cls.__name__, "anyOf": [{"type": "string", "description": "The content."}, block]}


class Plugin(Model):
    """A plugin of one's own: a folder beside the inventory with plugin.yaml in it."""

    path: LocalPath = Field(description="Folder with plugin.yaml, relative to the inventory.")
    enabled: bool = Field(default=True, description="Whether the agent loads it.")


Documents = Annotated[Mapping[Annotated[str, AfterValidator(_below)], Document], AfterValidator(_no_file_in_a_file)]
HomeFiles = Annotated[
    Mapping[Annotated[str, AfterValidator(_below), AfterValidator(_home_file)], Document],
    AfterValidator(_no_file_in_a_file),
]
Plugins = Mapping[Name, Plugin]
