"""Files that the agent is given: documents, files of its home, plugins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxhermes.inventory.fields import Model, mistake
from proxhermes.inventory.local import LocalPath


def _below(value: str) -> str:
    parts = PurePosixPath(value).parts
    if not re.fullmatch(r"[^\x00-\x1f\x7f\\]+", value) or value.startswith("/") or {".", ".."} & {*value.split("/")}:
        raise mistake(f"{value!r} is not a path below the folder", "as in `SOUL.md` or `notes/projects.md`")
    return "/".join(parts)


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
        block = handler(schema)
        return {"title": cls.__name__, "anyOf": [{"type": "string", "description": "The content."}, block]}


class Plugin(Model):
    """A plugin of one's own: a folder beside the inventory with plugin.yaml in it."""

    path: LocalPath = Field(description="Folder with plugin.yaml, relative to the inventory.")
    enabled: bool = Field(default=True, description="Whether the agent loads it.")


Documents = Mapping[Annotated[str, AfterValidator(_below)], Document]
Plugins = Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")], Plugin]
