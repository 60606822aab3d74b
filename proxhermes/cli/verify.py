"""`proxhermes verify`: the checks, as lines, as JSON, as JUnit XML."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxhermes.cli.context import Command, Context, agents_argument, json_option, pass_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxhermes.inventory.models import Agent
    from proxhermes.verify.model import Report


class _Verify(Command):
    """Lists the checks in its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from proxhermes.verify.checks import CHECKS

        with formatter.section("Checks, as LAYER.SUBJECT"):
            formatter.write_dl([(check.id, check.question) for check in CHECKS])


@click.command(cls=_Verify)
@agents_argument
@json_option
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a JUnit XML report there."
)
@click.option("--only", multiple=True, metavar="ID", help="Ask only this check or layer of checks; may be repeated.")
@click.option("--deep", is_flag=True, help="Check the databases thoroughly, however large they are; takes its time.")
@click.option("--skip", multiple=True, metavar="ID", help="Leave out this check or layer of checks; may be repeated.")
@pass_context
def verify(
    context: Context,
    agents: tuple[int, ...],
    junit: Path | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    deep: bool,
) -> None:
    """Prove that AGENT works, from the container to an answer of the model.

    Writes a test file on each mount and removes it, and asks the model two short questions. Exit code 4 if any check
    fails; warnings do not count.

    \b
    Examples:
      proxhermes verify                             all agents, all checks
      proxhermes verify 118 --only hermes.answer    one check
      proxhermes verify 118 --skip hermes           all but one layer's
      proxhermes verify -q --json > report.json     for monitoring
    """
    verify_agents(context, context.agents(agents), only, skip, junit, deep=deep)


def verify_agents(
    context: Context,
    agents: Sequence[Agent],
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    junit: Path | None = None,
    before: Mapping[str, Any] | None = None,
    *,
    deep: bool = False,
) -> None:
    """Verify each agent and write the reports that were asked for; `before` stands in the JSON ahead of the checks.

    Raises VerificationFailed if a check failed.
    """
    from proxhermes.errors import ProxhermesError, UsageError, VerificationFailed
    from proxhermes.verify.checks import CHECKS
    from proxhermes.verify.model import Verdict
    from proxhermes.verify.report import as_dict, as_junit
    from proxhermes.verify.runner import run_checks, select
    from proxhermes.verify.scene import Scene
    from proxhermes.verify.state import DEEP, QUICK

    chosen = select(CHECKS, only, skip)
    if junit and not junit.parent.is_dir():  # told before the checks are asked, not after
        raise UsageError(f"--junit {junit}: there is no folder {junit.parent}")
    wanted, depth = frozenset(check.id for check in chosen), DEEP if deep else QUICK
    reports: list[Report] = []
    for agent in agents:
        with context.doors(agent) as doors, closing(Scene(agent, doors, doors.events, wanted, depth)) as scene:
            report = run_checks(scene, chosen, doors.events)
        reports.append(report)
        counts = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict if report.count(verdict))
        doors.events.note(f"verified: {counts}")
    if context.json:
        context.print_json({**(before or {}), **as_dict(reports)})
    if junit:
        try:
            junit.write_text(as_junit(reports), encoding="utf-8")
        except OSError as error:
            raise ProxhermesError(f"the JUnit report was not written: {error}") from error
    bad = [result.check.id for report in reports for result in report if result.failed]
    if bad:
        raise VerificationFailed(
            f"{len(bad)} of {sum(len(r.results) for r in reports)} checks failed: {', '.join(bad)}"
        )
