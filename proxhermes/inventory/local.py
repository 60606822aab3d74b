"""Files of the operator's that the inventory names: relative to its own folder, read when they are needed."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from proxhermes.errors import UsageError
from proxhermes.inventory.fields import mistake
from proxhermes.inventory.secrets import SecretSource

LARGEST: Final = 64 * 1024 * 1024
"""Bytes that a file may have: it is held in memory, and sent in one piece."""


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A path of the operator's. written: as the inventory has it; path: where that is; option: the key it stands at."""

    written: str
    path: Path
    option: str = "file"

    def read(self, option: str | None = None) -> bytes:
        """The file's content. option: the key's whole name, for the message.

        Raises UsageError, which names option and file, for one that cannot be read or is no plain file.
        """
        try:
            with open(self.path, "rb", opener=_at_once) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise self._refused("this is not a plain file", option)
                if status.st_size > LARGEST:
                    raise self._refused(f"this is larger than {LARGEST >> 20} MiB", option)
                return file.read()
        except OSError as error:
            raise self._refused(error.strerror or str(error), option) from None

    @property
    def executable(self) -> bool:
        """Whether its owner may run it."""
        return os.access(self.path, os.X_OK)

    def walk(self, option: str | None = None) -> tuple[LocalPath, ...]:
        """All files below this folder, sorted, links to files followed; without what Python and git leave there.

        Raises UsageError, which names option and folder, where there is none.
        """
        if not self.path.is_dir():
            raise self._refused("this is not a folder", option)
        found: list[LocalPath] = []
        for folder, names, files in os.walk(self.path):
            names[:] = sorted(set(names) - {"__pycache__", ".git"})
            below = Path(folder).relative_to(self.path)
            found += [
                LocalPath(str(Path(self.written) / below / name), Path(folder) / name, self.option)
                for name in sorted(files)
            ]
        return tuple(found)

    def _refused(self, why: str, option: str | None) -> UsageError:
        return UsageError(f"{option or self.option}: {self.path}: {why}", hint="paths are relative to the inventory")

    def __str__(self) -> str:
        return self.written

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1}

    @classmethod
    def _validated(cls, value: object, info: ValidationInfo) -> LocalPath:
        """Take the inventory's folder from the validation context; outside an inventory: the current one."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str) or not re.fullmatch(r"[^\x00-\x1f\x7f]+", value):
            raise mistake("this is not a path", "a file of yours, relative to the inventory")
        folder = info.context.folder if isinstance(info.context, SecretSource) else Path.cwd()
        return cls(value, folder / Path(value).expanduser(), info.field_name or "file")


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer, should it be a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
