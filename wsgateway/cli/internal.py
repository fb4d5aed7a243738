"""How verbs speak with the internal listener of a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Annotated
from urllib.parse import urlsplit

import typer

from wsgateway.cli.terminal import one_line
from wsgateway.errors import StartError

Endpoint = Annotated[
    str,
    typer.Option(help="URL of the internal listener.", envvar="WSGATEWAY_INTERNAL_URL"),
]
DEFAULT_ENDPOINT = "http://127.0.0.1:9090"
PATIENCE_SECONDS = 40
"""A gateway that says nothing for so long is gone; a tail's silence is broken every 15 s."""


class Elsewhere(StartError):
    """Another node than the one that was asked has the connection; `address` is its internal listener."""

    def __init__(self, node: str, address: str) -> None:
        super().__init__(f"node {node} holds the connection; try --endpoint http://{address}")
        self.address = address


def call(
    endpoint: str, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> str:
    """The answer's body. *Raises* StartError where it is no success."""
    with opened(endpoint) as connection, reaching(endpoint):
        return requested(connection, endpoint, method, path, data, headers).read().decode("utf-8", "replace")


@contextmanager
def opened(endpoint: str) -> Iterator[HTTPConnection]:
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
def reaching(endpoint: str) -> Iterator[None]:
    """*Raises* StartError where the endpoint can't be called."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no host name can be spelled so
        raise StartError(f"{endpoint} can't be reached: {error}; is the gateway running?") from error


def requested(
    connection: HTTPConnection,
    endpoint: str,
    method: str,
    path: str,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> HTTPResponse:
    """A successful answer, its body unread. *Raises* Elsewhere where another node must be asked, else StartError."""
    connection.request(method, urlsplit(endpoint).path.rstrip("/") + path, body=data, headers=headers or {})
    response = connection.getresponse()
    if response.status == 410:
        raise StartError("the connection is gone (410)")
    if not 200 <= response.status < 300:
        text = response.read().decode("utf-8", "replace")
        with suppress(ValueError, LookupError, TypeError):
            if response.status == 409:
                where = json.loads(text)
                raise Elsewhere(str(where["node"]), str(where["address"]))
        raise StartError(f"{method} {path} answered {response.status}: {_said(text)}")
    return response


def _said(text: str) -> str:
    """What a refusal says: its message and the problems behind it, where it is JSON that has them.

    Nothing in it drives a terminal.
    """
    with suppress(ValueError, LookupError, TypeError):
        refusal = json.loads(text)
        message, problems = refusal["message"], refusal.get("problems", [])
        if isinstance(message, str) and isinstance(problems, list):
            return "\n".join([one_line(message), *(f"  {one_line(str(problem))}" for problem in problems)])
    return one_line(text.rstrip())
