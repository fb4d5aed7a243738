"""`wsgateway connections`: look at, tail, push to and close connections through the internal listener."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.errors import StartError

app = typer.Typer(help="Look at, tail, push to and close connections.", no_args_is_help=True)

Endpoint = Annotated[
    str,
    typer.Option(help="URL of the internal listener.", envvar="WSGATEWAY_INTERNAL_URL"),
]
DEFAULT_ENDPOINT = "http://127.0.0.1:9090"
Stage = Annotated[str, typer.Option(help="A stage of the API.", envvar="WSGATEWAY_STAGE")]
Api = Annotated[str | None, typer.Option("--api", help="The apiId; the default API if left out.")]
ConnectionId = Annotated[str, typer.Argument(help="The connection's id.")]
PATIENCE_SECONDS = 40
"""A gateway that says nothing for so long is gone; a tail's silence is broken every 15 s."""


@app.command("ls")
def list_connections(
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    stage: Stage = "dev",
    api: Api = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the open connections of an API."""
    rows: list[dict[str, object]] = []
    token = ""
    while True:
        query = f"?maxResults=1000&nextToken={quote(token, safe='')}" if token else "?maxResults=1000"
        text = _call(endpoint, "GET", _path(api, stage) + query)
        try:
            page = json.loads(text)
            rows += [_row(item) for item in page["items"]]
            token = page.get("nextToken", "")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StartError(f"{endpoint} answers, but not as the gateway's internal listener does") from error
        if not token:
            break
    print_rows(rows, output)


@app.command("get")
def get(
    connection_id: ConnectionId, endpoint: Endpoint = DEFAULT_ENDPOINT, stage: Stage = "dev", api: Api = None
) -> None:
    """Show one connection."""
    print(_call(endpoint, "GET", _path(api, stage, connection_id)))


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
    _call(endpoint, "POST", _path(api, stage, connection_id), data)


@app.command("close")
def close(
    connection_id: ConnectionId, endpoint: Endpoint = DEFAULT_ENDPOINT, stage: Stage = "dev", api: Api = None
) -> None:
    """Close one connection (1000)."""
    _call(endpoint, "DELETE", _path(api, stage, connection_id))


@app.command("tail")
def tail(
    connection_id: ConnectionId,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    stage: Stage = "dev",
    api: Api = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what happens on one connection, live, until it closes or Ctrl-C: messages, answers, replies, pushes.

    Shows what messages say.
    """
    from wsgateway.cli.tail import show

    path = _path(api, stage, connection_id) + "/tail"
    with _open(endpoint) as connection, suppress(KeyboardInterrupt):
        with _reaching(endpoint):
            answer = _request(connection, endpoint, "GET", path)
        show(answer, output)


def _row(item: dict[str, Any]) -> dict[str, object]:
    return {
        "connectionId": item["connectionId"],
        "stage": item["stage"],
        "sourceIp": item["identity"]["sourceIp"],
        "connectedAt": item["connectedAt"],
        "lastActiveAt": item["lastActiveAt"],
    }


def _path(api: str | None, stage: str, connection_id: str | None = None) -> str:
    prefix = "" if api is None else f"/execute-api/{quote(api, safe='')}"
    path = f"{prefix}/{quote(stage, safe='')}/@connections"
    return path if connection_id is None else f"{path}/{quote(connection_id, safe='')}"


def _call(endpoint: str, method: str, path: str, data: bytes | None = None) -> str:
    """The answer's body. *Raises* StartError where it is no success."""
    with _open(endpoint) as connection, _reaching(endpoint):
        return _request(connection, endpoint, method, path, data).read().decode("utf-8", "replace")


@contextmanager
def _open(endpoint: str) -> Iterator[HTTPConnection]:
    """A connection to the internal listener. *Raises* BadParameter for what is no URL of one."""
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or url.scheme != "http":
        hint = "write http://HOST:PORT of the internal listener"
        raise typer.BadParameter(f"{endpoint} can't be called; {hint}", param_hint="--endpoint")
    connection = HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    with closing(connection):
        yield connection


@contextmanager
def _reaching(endpoint: str) -> Iterator[None]:
    """*Raises* StartError where the endpoint can't be called."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no host name can be spelled so
        raise StartError(f"{endpoint} can't be reached: {error}; is the gateway running?") from error


def _request(
    connection: HTTPConnection, endpoint: str, method: str, path: str, data: bytes | None = None
) -> HTTPResponse:
    """A successful answer, its body unread. *Raises* StartError for others."""
    connection.request(method, urlsplit(endpoint).path.rstrip("/") + path, body=data)
    response = connection.getresponse()
    if response.status == 410:
        raise StartError("the connection is gone (410)")
    if not 200 <= response.status < 300:
        raise StartError(f"{method} {path} answered {response.status}: {response.read().decode('utf-8', 'replace')}")
    return response
