"""The command line: one file per verb.

Exit codes: 0 fine, 1 failed, 2 wrong usage or an invalid definition. A user's mistake is told in plain lines on stderr.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from wsgateway.cli import (
    cache,
    connect,
    connections,
    deployments,
    doctor,
    explain,
    export,
    keys,
    nodes,
    openapi,
    routes,
    schema,
    serve,
    usage,
    validate,
    version,
)
from wsgateway.errors import DefinitionError, StartError, complaint

app = typer.Typer(
    name="wsgateway",
    help="A self-hosted, WebSocket-first realtime messaging gateway that speaks Amazon API Gateway's wire.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve)
app.command("dev")(serve.dev)
app.command("validate")(validate.validate)
app.command("routes")(routes.routes)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.add_typer(openapi.imports, name="import")
app.add_typer(export.exports, name="export")
app.command("schema")(schema.schema)
app.command("connect")(connect.connect)
app.add_typer(cache.app, name="cache")
app.add_typer(connections.app, name="connections")
app.add_typer(deployments.app, name="deployments")
app.add_typer(keys.app, name="keys")
app.add_typer(nodes.app, name="nodes")
app.command("usage")(usage.usage)
app.command("version")(version.version)


# What typer raises for wrong usage: click's class, or in later versions typer's own copy of it.
_UsageFault: Any = typer.BadParameter.__mro__[2]


def main() -> None:
    """Run a verb and exit with its code."""
    try:
        sys.exit(app(prog_name="wsgateway", standalone_mode=False) or 0)
    except _UsageFault as error:
        _tell(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)
    except (DefinitionError, StartError) as error:
        text, code = complaint(error)
        print(text, file=sys.stderr)
        sys.exit(code)
    except BrokenPipeError:
        # What is still to be written has no reader either (Python documentation, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _tell(error: Any) -> None:
    """Wrong usage in one line; a verb without arguments shows its help."""
    context = getattr(error, "ctx", None)
    verb = "wsgateway" if context is None else context.command_path
    text = " ".join(error.format_message().split())
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        print(f"{verb}: {text} (see {verb} --help)", file=sys.stderr)
