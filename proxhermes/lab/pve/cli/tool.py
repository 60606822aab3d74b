"""What the tools have in common: a table of commands, how one is found, read, run, and how it fails.

A tool is a table (`Tool`) of commands; `main` finds the command, reads its options, calls it and turns what happens
into standard output, standard error and an exit code. Source of the forms: PVE::CLIHandler as recorded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxhermes.lab.pve.cli import getopt
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.errors import PveError

if TYPE_CHECKING:
    from proxhermes.lab.pve.node import Node

FAILED = 255
"""What Perl's `die` leaves when no errno is set."""

FORMAT_OPTIONS: Mapping[str, Kind] = {
    "output-format": Kind.VALUE,
    "human-readable": Kind.BOOLEAN,
    "noborder": Kind.BOOLEAN,
    "noheader": Kind.BOOLEAN,
    "quiet": Kind.BOOLEAN,
}
"""What `[FORMAT_OPTIONS]` in a usage line stands for."""

NODE_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
"""The PATH that the tools give themselves and what they start."""

Values = dict[str, str]
Options = Callable[["Node", Values], Mapping[str, Kind]]


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it was given: its values by name, the words after them, the form asked for."""

    node: Node
    values: Values
    extra: list[str]
    output_format: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `name` may have several words; `run` None means that this node does not offer it.

    `arguments` are the values without an option, in order; one that ends in `?` may be left out. `options` says which
    options it has and how each takes its value, given the values of the arguments.
    """

    name: str
    run: Callable[[Call], int] | None = None
    arguments: tuple[str, ...] = ()
    options: Options | None = None
    required: str = ""
    formats: bool = False
    extra_arguments: bool = False

    def usage(self, tool: str) -> str:
        """The line that says how to call it."""
        words = [f"[<{name[:-1]}>]" if name.endswith("?") else f"<{name}>" for name in self.arguments]
        words += ["[<extra-args>]"] if self.extra_arguments else []
        words += [self.required] if self.required else []
        line = f"{tool} {self.name} {' '.join(words)}"
        line += " [OPTIONS]" if self.options is not None else ""
        return line + (" [FORMAT_OPTIONS]" if self.formats else "")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its commands in the groups in which the usage shows them, and other names of some."""

    name: str
    groups: tuple[tuple[Command, ...], ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[Command]:
        """All commands in the order of the usage."""
        return [command for group in self.groups for command in group]

    def usage(self) -> str:
        """All commands, as shown after a command that does not exist."""
        blocks = ["".join(f"       {command.usage(self.name)}\n" for command in group) for group in self.groups]
        blocks.append(f"       {self.name} help [<extra-args>] [OPTIONS]\n")
        return f"USAGE: {self.name} <COMMAND> [ARGS] [OPTIONS]\n\n" + "\n".join(blocks)

    def find(self, words: Sequence[str]) -> tuple[Command, list[str]] | None:
        """The command that `words` begin with, and the words after it. A unique beginning of a word is enough."""
        for alias, name in self.aliases.items():
            parts = alias.split()
            if list(words[: len(parts)]) == parts:
                return self.find([*name.split(), *words[len(parts) :]])
        candidates = [(command.name.split(), command) for command in self.commands]
        depth = 0
        while depth < len(words):
            exact = [item for item in candidates if len(item[0]) > depth and item[0][depth] == words[depth]]
            hits = exact or [
                item for item in candidates if len(item[0]) > depth and item[0][depth].startswith(words[depth])
            ]
            if not hits or len({item[0][depth] for item in hits}) > 1:
                return None
            depth += 1
            if len(hits) == 1 and len(hits[0][0]) == depth:
                return hits[0][1], list(words[depth:])
            candidates = hits
        return None


def say(text: str) -> None:
    """Write to standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write to standard error, after what standard output still holds."""
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()


def log_line(line: str) -> None:
    """One line of a task that runs in the foreground."""
    say(line.rstrip("\n") + "\n")


def notice(line: str) -> None:
    """One line of what is done here and now, without a task."""
    complain(line.rstrip("\n") + "\n")


def run(tool: Tool, argv: Sequence[str], open_node: Callable[[], Node]) -> int:
    """Run one command line (without the tool's own name) and return its exit code."""
    if not argv:
        complain(f"ERROR: no command specified\n{tool.usage()}")
        return FAILED
    if argv[0] == "help":
        return _help(tool, argv[1:])
    found = tool.find(argv)
    if found is None:
        complain(f"ERROR: unknown command '{tool.name} {_unknown(tool, argv)}'\n{tool.usage()}")
        return FAILED
    command, words = found
    if command.run is None:
        complain(f"{tool.name} {command.name}: not offered by this node\n")
        return FAILED
    try:
        node = open_node()
        node.notice = notice
        return command.run(_read(command, words, node))
    except PveError as error:
        complain(error_text(error, command.usage(tool.name)))
        return error.errno


def main(tool: Tool) -> None:
    """The end of every tool's module: run the process's own command line on the node of this machine."""
    from proxhermes.lab.pve.cli.here import open_node

    os.environ["PATH"] = NODE_PATH
    sys.exit(run(tool, sys.argv[1:], open_node))


def error_text(error: PveError, usage: str) -> str:
    """An error as the tools print it: bad parameters with the line that says how to call the command."""
    details = "".join(f"{name}: {message}\n" for name, message in sorted((error.errors or {}).items()))
    text = f"{error.message.rstrip()}\n{details}"
    if error.status == 500:
        return text
    return f"{error.status} {text}" + (f"{usage}\n" if error.status == 400 else "")


def _read(command: Command, words: Sequence[str], node: Node) -> Call:
    """Read a command's words. Raises PveError (400) with what is wrong."""
    names = [name.rstrip("?") for name in command.arguments]
    first = [word for word in words if not word.startswith("-")][: len(names)]
    kinds: dict[str, Kind] = {}
    if command.options is not None:
        kinds |= command.options(node, dict(zip(names, first, strict=False)))
    if command.formats:
        kinds |= {name: kind for name, kind in FORMAT_OPTIONS.items() if name not in kinds}
    kinds = {name: kind for name, kind in kinds.items() if name not in names}
    parsed = getopt.parse(words, kinds)
    if parsed.complaints:
        complain("".join(f"{line}\n" for line in parsed.complaints))
        raise PveError("unable to parse option", status=400)
    values = parsed.options
    extra = parsed.arguments[len(names) :]
    if extra and not command.extra_arguments:
        raise PveError("too many arguments", status=400)
    values |= dict(zip(names, parsed.arguments, strict=False))
    if len(parsed.arguments) < sum(not name.endswith("?") for name in command.arguments):
        raise PveError("not enough arguments", status=400)
    output_format = values.pop("output-format", "text") if command.formats else "text"
    if command.formats:
        if output_format not in ("text", "json", "json-pretty", "yaml"):
            allowed = "text, json, json-pretty, yaml"
            message = f"value '{output_format}' does not have a value in the enumeration '{allowed}'"
            raise PveError("Parameter verification failed.", status=400, errors={"output-format": message})
        if values.pop("quiet", "0") == "1":
            output_format = "quiet"
        values = {name: value for name, value in values.items() if name not in FORMAT_OPTIONS}
    return Call(node, values, extra, output_format)


def _unknown(tool: Tool, argv: Sequence[str]) -> str:
    """The words up to and including the first that no command has."""
    names = [command.name.split() for command in tool.commands]
    for depth, word in enumerate(argv):
        names = [name for name in names if len(name) > depth and name[depth].startswith(word)]
        if not names:
            return " ".join(argv[: depth + 1])
    return " ".join(argv)


def _help(tool: Tool, words: Sequence[str]) -> int:
    """`help` and `help COMMAND`: how to call it. The prose of Proxmox's manual is not repeated here."""
    if not words:
        say(tool.usage())
        return 0
    found = tool.find(words)
    if found is None:
        complain(f"ERROR: no such command '{' '.join(words)}'\n{tool.usage()}")
        return FAILED
    say(f"USAGE: {found[0].usage(tool.name)}\n")
    return 0


def flag(value: Any) -> bool:
    """A boolean as options and the API have it."""
    return str(value) == "1"
