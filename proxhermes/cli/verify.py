"""`proxhermes verify`: the checks, as lines, as JSON, as JUnit XML."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, agents_argument, json_option, pass_context, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxhermes.inventory.models import Agent
    from proxhermes.verify.model import Report


@click.command(cls=Command)
@agents_argument
@json_option
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a JUnit XML report there."
)
@click.option("--only", multiple=True, metavar="ID", help="Ask only this check, or this layer's; may be repeated.")
@click.option("--skip", multiple=True, metavar="ID", help="Leave out this check, or this layer's; may be repeated.")
@pass_context
def verify(
    context: Context, agents: tuple[int, ...], junit: Path | None, only: tuple[str, ...], skip: tuple[str, ...]
) -> None:
    """Prove that AGENT works, from the container to an answer of the model.

    Writes a test file on each mount and removes it, and asks the model two short questions. Exit code 4 if any check
    fails; warnings do not count.

    \b
    Layers and ids: container.running, host.mounts, engine.docker, hermes.answer, …
    (`--only nonsense` lists them all)
    """
    verify_agents(context, context.agents(agents), only, skip, junit)


def verify_agents(
    context: Context,
    agents: Sequence[Agent],
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    junit: Path | None = None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """Verify each agent and write the reports that were asked for; `before` stands in the JSON ahead of the checks.

    Raises VerificationFailed if a check failed.
    """
    from proxhermes.errors import VerificationFailed
    from proxhermes.verify.checks import CHECKS
    from proxhermes.verify.model import Verdict
    from proxhermes.verify.report import as_dict, as_junit
    from proxhermes.verify.runner import run_checks, select
    from proxhermes.verify.scene import Scene

    chosen = select(CHECKS, only, skip)
    wanted = frozenset(check.id for check in chosen)
    reports: list[Report] = []
    for agent in agents:
        with context.doors(agent) as doors, closing(Scene(agent, doors, doors.events, wanted)) as scene:
            report = run_checks(scene, chosen, doors.events)
        reports.append(report)
        counts = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict if report.count(verdict))
        doors.events.note(f"verified: {counts}")
    if context.json:
        print_json({**(before or {}), **as_dict(reports)})
    if junit:
        junit.write_text(as_junit(reports), encoding="utf-8")
    bad = [result.check.id for report in reports for result in report if result.failed]
    if bad:
        raise VerificationFailed(
            f"{len(bad)} of {sum(len(r.results) for r in reports)} checks failed: {', '.join(bad)}"
        )
