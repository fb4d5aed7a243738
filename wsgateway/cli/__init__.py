"""The command line: one file per verb.

Exit codes: 0 fine, 1 failed, 2 wrong usage or an invalid definition. A user's mistake is told in plain lines on stderr.
"""

from __future__ import annotations

import sys

import typer

from wsgateway.cli import connect, connections, routes, schema, serve, validate, version
from wsgateway.errors import DefinitionError, StartError

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
app.command("schema")(schema.schema)
app.command("connect")(connect.connect)
app.add_typer(connections.app, name="connections")
app.command("version")(version.version)


def main() -> None:
    """Run a verb and exit with its code."""
    try:
        app()
    except DefinitionError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(2)
    except StartError as error:
        print(f"wsgateway: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
