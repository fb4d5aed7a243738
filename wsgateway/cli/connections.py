"""`wsgateway connections`: look at, tail, push to and close connections through the internal listener."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

import typer

from wsgateway.cli.internal import DEFAULT_ENDPOINT, Elsewhere, Endpoint, call, opened, reaching, requested
from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.errors import StartError

app = typer.Typer(help="Look at, tail, push to and close connections.", no_args_is_help=True)

Stage = Annotated[str, typer.Option(help="A stage of the API.", envvar="WSGATEWAY_STAGE")]
Api = Annotated[str | None, typer.Option("--api", help="The apiId; the default API if left out.")]
ConnectionId = Annotated[str, typer.Argument(help="The connection's id.")]


@app.command("ls")
def list_connections(
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    stage: Stage = "dev",
    api: Api = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the open connections of an API, on all nodes. Fails behind the list where a node did not answer."""
    rows: list[dict[str, object]] = []
    silent: dict[str, None] = {}
    token = ""
    while True:
        query = f"?maxResults=1000&nextToken={quote(token, safe='')}" if token else "?maxResults=1000"
        text = call(endpoint, "GET", _path(api, stage) + query)
        try:
            page = json.loads(text)
            rows += [_row(item) for item in page["items"]]
            silent |= {f"{node['node']} at {node['address']}": None for node in page.get("incomplete", ())}
            token = page.get("nextToken", "")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StartError(f"{endpoint} answers, but not as the gateway's internal listener does") from error
        if not token:
            break
    print_rows(rows, output)
    if silent:
        raise StartError(f"the list is incomplete, for these nodes did not answer: {', '.join(silent)}")


@app.command("get")
def get(
    connection_id: ConnectionId, endpoint: Endpoint = DEFAULT_ENDPOINT, stage: Stage = "dev", api: Api = None
) -> None:
    """Show one connection."""
    print(call(endpoint, "GET", _path(api, stage, connection_id)))


@app.command("send")
def send(
    connection_id: ConnectionId,
    message: Annotated[str, typer.Argument(help="The message; - reads the input.")],
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    stage: Stage = "dev",
    api: Api = None,
) -> None:
    """Push a message to one connection."""
    data = sys.stdin.buffer.read() if message == "-" else message.encode()
    call(endpoint, "POST", _path(api, stage, connection_id), data)


@app.command("close")
def close(
    connection_id: ConnectionId, endpoint: Endpoint = DEFAULT_ENDPOINT, stage: Stage = "dev", api: Api = None
) -> None:
    """Close one connection (1000)."""
    call(endpoint, "DELETE", _path(api, stage, connection_id))


@app.command("tail")
def tail(
    connection_id: ConnectionId,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    stage: Stage = "dev",
    api: Api = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what happens on one connection, live, until it closes or Ctrl-C: messages, answers, replies, pushes.

    Shows what messages say. Where another node holds the connection, that one is asked.
    """
    path = _path(api, stage, connection_id) + "/tail"
    with suppress(KeyboardInterrupt):
        try:
            _tail(endpoint, path, output)
        except Elsewhere as elsewhere:
            try:
                _tail(f"http://{elsewhere.address}", path, output)
            except StartError as error:
                raise StartError(f"{error} ({elsewhere})") from error


def _tail(endpoint: str, path: str, output: Output) -> None:
    from wsgateway.cli.tail import show

    with opened(endpoint) as connection:
        with reaching(endpoint):
            answer = requested(connection, endpoint, "GET", path)
        show(answer, output)


def _row(item: dict[str, Any]) -> dict[str, object]:
    return {
        "connectionId": item["connectionId"],
        "stage": item["stage"],
        "sourceIp": item["identity"]["sourceIp"],
        "connectedAt": item["connectedAt"],
        "lastActiveAt": item["lastActiveAt"],
    } | ({"node": item["node"]} if "node" in item else {})


def _path(api: str | None, stage: str, connection_id: str | None = None) -> str:
    prefix = "" if api is None else f"/execute-api/{quote(api, safe='')}"
    path = f"{prefix}/{quote(stage, safe='')}/@connections"
    return path if connection_id is None else f"{path}/{quote(connection_id, safe='')}"
