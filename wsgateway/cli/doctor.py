"""`wsgateway doctor`: what has to be mended before a start, or after one."""

from __future__ import annotations

import os
import sys
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.cli.serve import count_of_workers, serve, settings_of
from wsgateway.cli.terminal import one_line

if TYPE_CHECKING:
    from wsgateway.doctor import Finding


def doctor(**flags: Any) -> int:
    """Check what `serve` with the same flags needs: FILE, Redis, backends, ports, limits; and say what to mend.

    Exit code 1 where something failed, 2 where FILE is invalid.
    """
    import uvloop

    from wsgateway.doctor import Verdict, examine

    output = flags.pop("output")
    settings = settings_of(dev=False, **flags | {"workers": count_of_workers(flags["workers"])})
    report = uvloop.run(examine(settings, os.environ))
    print_rows([_row(finding) for finding in report.findings], output)
    numbers = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict)
    print(f"{len(report.findings)} checks: {numbers}", file=sys.stderr)
    return report.code


_FLAGS = signature(serve, eval_str=True)
_OUTPUT = Parameter("output", Parameter.KEYWORD_ONLY, default=Output.TABLE, annotation=OutputOption)
# Its flags, as typer asks for them: those of `serve`, and one more.
doctor.__signature__ = _FLAGS.replace(  # type: ignore[attr-defined]
    parameters=[*_FLAGS.parameters.values(), _OUTPUT], return_annotation=int
)


def _row(finding: Finding) -> dict[str, object]:
    return {
        "result": finding.verdict.value,
        "check": finding.check,
        "where": one_line(finding.where),
        "found": one_line(finding.found),
        "mend": one_line(finding.mend),
    }
