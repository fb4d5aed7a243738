"""`wsgateway nodes`: which nodes there are, where, in what state, and how many connections each holds."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any

import typer

from wsgateway.cli.internal import DEFAULT_ENDPOINT, Endpoint, call
from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.errors import StartError

app = typer.Typer(help="Look at the nodes of the installation.", invoke_without_command=True)


@app.callback()
def nodes(context: typer.Context, endpoint: Endpoint = DEFAULT_ENDPOINT, output: OutputOption = Output.TABLE) -> None:
    """List the nodes of the installation, as one of them sees them."""
    if context.invoked_subcommand is None:
        list_nodes(endpoint, output)


@app.command("ls")
def list_nodes(endpoint: Endpoint = DEFAULT_ENDPOINT, output: OutputOption = Output.TABLE) -> None:
    """List the nodes of the installation, as one of them sees them."""
    text = call(endpoint, "GET", "/nodes")
    try:
        answer = json.loads(text)
        rows = answer["nodes"] if output is Output.JSON else [_row(node) for node in answer["nodes"]]
        away = answer["registry"] == "away"
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StartError(f"{endpoint} answers, but not as the gateway's internal listener does") from error
    print_rows(rows, output)
    if away:
        print("the registry is away: this is what the node knew last", file=sys.stderr)


def _row(node: dict[str, Any]) -> dict[str, object]:
    age = time.time() - datetime.fromisoformat(node["startedAt"]).timestamp()
    return {
        "slot": node["slot"],
        "name": node["name"],
        "address": node["address"],
        "state": node["state"],
        "connections": "?" if node["connections"] is None else node["connections"],
        "definitions": node["definitions"][:12],
        "version": node["version"],
        "age": _age(int(max(age, 0.0))),
    }


def _age(seconds: int) -> str:
    """The two largest units."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
