"""How an error is shown: what was being done, what the machine answered, what to do; and the exit code."""

from __future__ import annotations

import sys
import traceback

import click

from proxhermes.cli.context import Context
from proxhermes.cli.display import label
from proxhermes.errors import Interrupted, ProxhermesError, VerificationFailed
from proxhermes.redaction import redact


def show_failure(error: BaseException, context: Context) -> int:
    """Write `error` to stderr and the run's log; returns the exit code. SystemExit and the like are raised again."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        error = Interrupted(
            "interrupted at once; what was begun on the node may still come to its end there",
            hint="run the same command again: it looks at what there is, and goes on from there",
        )
    if not isinstance(error, Exception):
        raise error
    trace = "".join(traceback.format_exception(error))
    log_path = _log(context, trace)
    context.close()
    lines = describe(error)
    if isinstance(error, ProxhermesError):
        code = error.exit_code
    else:
        code = 1
        lines.append("This is a bug in proxhermes: please report it with the log.")
    if context.debug:
        click.echo(redact(trace), err=True)
    head, *rest = [redact(line) for line in lines]
    click.echo(label("Error: ", "red") + head, err=True)
    for line in rest:
        click.echo("  " + line, err=True)
    if log_path and not isinstance(error, Interrupted | VerificationFailed) and code != 2:
        click.echo(f"  log: {log_path}", err=True)
    return code


def describe(error: Exception) -> list[str]:
    """The lines that tell the operator what happened, most important first."""
    if not isinstance(error, ProxhermesError):
        return [f"{type(error).__name__}: {error}"]
    from proxhermes.hints import hint_for

    lines = error.message.splitlines() or [type(error).__name__]
    if error.doing:
        lines.append(f"while {error.doing}")
    if error.answer and error.answer not in error.message:
        lines.append(f"the answer was: {error.answer}")
    lines += [f"| {line}" for line in error.log[-20:]]
    hint = error.hint or hint_for(error)
    if hint:
        first, *more = hint.splitlines()
        lines += [f"→ {first}", *(f"  {line}" for line in more)]
    return lines


def _log(context: Context, trace: str) -> str | None:
    """Add the traceback to the run's log, if the run has one; a log that cannot be written is no second error."""
    if "log" not in context.__dict__:
        return None
    try:
        context.log.write(trace)
    except OSError as error:
        click.echo(f"(the log could not be written: {error})", file=sys.stderr)
        return None
    return str(context.log.path)
