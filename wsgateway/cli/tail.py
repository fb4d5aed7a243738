"""`wsgateway connections tail`: the lines of a tail, for people or as they came."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from typing import Any

from rich.text import Text

from wsgateway.cli.options import Output
from wsgateway.cli.terminal import console, one_line
from wsgateway.errors import StartError

STYLES = {"message": "cyan", "reply": "green", "push": "green", "error": "red", "dropped": "yellow", "close": "bold"}


def show(answer: HTTPResponse, output: Output) -> None:
    """Print each event as it comes, until the connection has closed.

    *Raises* StartError where the gateway ends first, or isn't one.
    """
    screen = console()
    while line := _line(answer):
        if line.isspace():
            continue  # so that nobody takes the silence for an end
        try:
            event = json.loads(line)
            kind = event["event"]
            if output is Output.JSON:
                print(line.decode().rstrip("\n"), flush=True)
            elif kind == "tail":
                print(_heading(event), file=sys.stderr)
            else:
                screen.print(Text(describe(event), STYLES.get(kind, "")))
                sys.stdout.flush()
        except (ValueError, LookupError, TypeError) as error:
            raise StartError("the endpoint answers, but not as the gateway's internal listener does") from error
        if kind == "close":
            return
    raise StartError("the gateway ended the tail before the connection closed; is it still running?")


def _line(answer: HTTPResponse) -> bytes:
    """The next line; nothing at the end, be it regular or not."""
    try:
        return answer.readline()
    except (OSError, HTTPException):
        return b""


def describe(event: dict[str, Any]) -> str:
    """One event as a line: local time, what, which message, route, status, milliseconds, body."""
    at = datetime.fromisoformat(event["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    kind = event["event"]
    match kind:
        case "close":
            what = f"{event['code']} {event['reason']}"
        case "dropped":
            what = f"{event['count']} events: this reader is too slow"
        case "answer" | "error":
            millis = event["millis"]
            what = f"{event['route']}  {event['status']}  {'-' if millis is None else millis} ms"
            if kind == "error":
                what += f"  {event['type']}: {event['reason']}"
        case "push":
            what = f"{event['status']}  {_body(event)}"
        case _:
            route = event.get("route")
            what = _body(event) if route is None else f"{route}  {_body(event)}"
    number = event.get("number")
    return one_line(f"{at}  {kind:<7}  {'' if number is None else f'#{number}':<5}  {what}".rstrip())


def _heading(event: dict[str, Any]) -> str:
    return one_line(
        f"tailing {event['connectionId']}: API {event['apiId']}, stage {event['stage']}, from {event['sourceIp']}, "
        f"since {event['connectedAt']}, messages in flight: {event['inFlight']}; Ctrl-C ends"
    )


def _body(event: dict[str, Any]) -> str:
    body = event.get("body")
    text = f"base64:{event['bodyBase64']}" if body is None else body
    return f"{event['bytes']} B  {text}" + ("…" if event.get("truncated") else "")
