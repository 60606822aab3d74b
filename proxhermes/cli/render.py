"""`proxhermes render`: the files that `up` would write, printed without contacting anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, Vmid, pass_context

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # which takes no type before click 8.2

FILES = ("config.yaml", ".env", "compose.yaml", "unit", "daemon.json")  # hermes.rendering's, which takes long to load


class _Agent(Vmid):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in FILES:
            self.fail(f"the agent comes first: proxhermes render AGENT {value}", param, ctx)
        return super().convert(value, param, ctx)


class _File(_Choice):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from difflib import get_close_matches

        near = ["unit"] if str(value).endswith(".service") else get_close_matches(str(value), FILES, 1)
        if value not in FILES and near:
            self.fail(f"{value!r} is none of the files; did you mean {near[0]!r}?", param, ctx)
        return super().convert(value, param, ctx)


_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("agent", type=_Agent(), metavar="AGENT")
@click.argument("name", type=_File(FILES), metavar="FILE")
@click.option(
    "--existing", type=_file, metavar="PATH", help="Merge into this copy of the file (config.yaml, .env, daemon.json)."
)
@click.option(
    "--last",
    type=_file,
    metavar="PATH",
    help="What was declared when that copy was written (config.yaml, .env): a copy of .proxhermes/config.yaml or "
    ".proxhermes/env in HERMES_HOME. What is declared no more goes.",
)
@click.option("--reveal", is_flag=True, help="Look secrets up and print them; else ******** stands for each.")
@pass_context
def render(context: Context, agent: int, name: str, existing: Path | None, last: Path | None, reveal: bool) -> None:
    """Print FILE as `up` would write it for AGENT. Nothing is contacted, nothing is written.

    \b
    FILE:
      config.yaml    Hermes' settings, in HERMES_HOME
      .env           its environment and secrets, in HERMES_HOME
      compose.yaml   the service of the runtimes docker and persistent
      unit           the systemd service of the runtime native
      daemon.json    Docker's, in /etc/docker

    Without --existing, as for a container where the file is not there yet. The file goes to stdout, remarks to
    stderr. What only the container or LiteLLM knows is left out: the network's MTU, the model's context.

    \b
    proxhermes render 118 config.yaml
    proxhermes render 118 config.yaml --existing config.yaml --last last.yaml | diff config.yaml -
    proxhermes render 118 .env --reveal > .env       # umask 077 first
    """
    from proxhermes.cli.display import label
    from proxhermes.errors import UsageError
    from proxhermes.hermes.files import UnusableFile, decoded
    from proxhermes.hermes.rendering import Source
    from proxhermes.hermes.rendering import render as rendered

    def source(path: Path | None) -> Source | None:
        return None if path is None else Source(str(path), decoded(path.read_bytes(), str(path)))

    (wanted,) = context.agents((agent,))
    try:
        result = rendered(wanted, name, existing=source(existing), last=source(last), reveal=reveal)
    except UnusableFile as error:
        raise UsageError(str(error.args[0])) from None
    for note in result.notes:
        click.echo(label("Note: ", "yellow") + note, err=True)
    click.echo(result.text, nl=False)
