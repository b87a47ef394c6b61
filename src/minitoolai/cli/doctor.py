"""`minitoolai doctor`: what this machine and configuration lack, with the remedy for each."""

from __future__ import annotations

import argparse

from minitoolai.cli.context import CommandFailed, Commands, Context, common
from minitoolai.runtime.examine import examine

_MARKS = {"ok": "ok  ", "warn": "note", "fail": "FAIL"}


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = common(commands.add_parser("doctor", help="check this machine and the configuration"))
    command.set_defaults(run=_run)


async def _run(context: Context, options: argparse.Namespace) -> None:
    findings = await examine(context.settings, context.environment, context.data_dir)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.verdict]}  {finding.subject}: {finding.text}")
        if finding.remedy:
            lines.append(f"      {finding.remedy}")
    shown = [{"subject": f.subject, "verdict": f.verdict, "text": f.text, "remedy": f.remedy} for f in findings]
    context.say(shown, "\n".join(lines))
    failed = [finding.subject for finding in findings if finding.verdict == "fail"]
    if failed:
        raise CommandFailed(f"not ready to serve: {', '.join(failed)}")
