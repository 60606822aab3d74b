"""What the files on the guest have in common: an existing one that cannot be read is never overwritten."""

from __future__ import annotations

from proxhermes.errors import Refused


class UnusableFile(Refused):
    """A file on the guest that someone else wrote in a way that cannot be read; it is left as it is."""

    def __init__(self, name: str, what: str, line: int | None = None) -> None:
        where = f"{name}, line {line}" if line else name
        super().__init__(
            f"{where}: {what}",
            doing=f"reading {name} in the container",
            hint=f"repair or move away {name} in the container; proxhermes does not overwrite what it cannot read",
        )
        self.what = what
        self.line = line


def decoded(content: bytes, name: str) -> str:
    """The file's text. Raises UnusableFile where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableFile(name, "this is not text in UTF-8", content.count(b"\n", 0, error.start) + 1) from None
