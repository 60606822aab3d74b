"""`pvesh`: the API on the command line, as root@pam."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxhermes.lab.pve.cli import output
from proxhermes.lab.pve.cli.api import method_options
from proxhermes.lab.pve.cli.getopt import Kind
from proxhermes.lab.pve.cli.tool import Call, Command, Options, Tool, Values, complain, log_line, main, say
from proxhermes.lab.pve.errors import PveError, TaskFailed
from proxhermes.lab.pve.identity import ROOT
from proxhermes.lab.pve.node import Node

_METHODS = {"create": "POST", "delete": "DELETE", "get": "GET", "set": "PUT"}


def handler(word: str) -> Callable[[Call], int]:
    """`pvesh get` and its like. A task that fails prints why and its UPID, and ends with 0, as in Proxmox."""

    def command(call: Call) -> int:
        path = _path(call.values)
        params = {name: value for name, value in call.values.items() if name != "api_path"}
        try:
            answer = call.node.call(ROOT, _METHODS[word], path, params, console=log_line)
        except TaskFailed as failure:
            complain(f"{failure.message}\n")
            answer = failure.upid
        if call.output_format != "quiet":
            say(output.render(answer, call.output_format))
        return 0

    return command


def _options(word: str) -> Options:
    def options(node: Node, values: Values) -> Mapping[str, Kind]:
        if "api_path" not in values:
            return {}
        template = node.template(_METHODS[word], _path(values))
        if template is None:
            raise PveError(f"No '{word}' handler defined for '{_path(values)}'", errno=1)
        # Proxmox reads this one too, and then refuses it as a parameter of the call.
        return {**method_options(node, _METHODS[word], template), "noproxy": Kind.BOOLEAN}

    return options


def _path(values: Values) -> str:
    return "/" + values["api_path"].strip("/")


def _command(word: str) -> Command:
    return Command(word, handler(word), ("api_path",), _options(word), formats=True)


def _none(_node: Node, _values: Values) -> Mapping[str, Kind]:
    return {}


TOOL = Tool(
    "pvesh",
    (
        (
            _command("create"),
            _command("delete"),
            _command("get"),
            Command("ls", None, ("api_path",), _none, formats=True),
            _command("set"),
            Command("usage", None, ("api_path",), _none),
        ),
    ),
)

if __name__ == "__main__":
    main(TOOL)
