"""`wsgateway explain`: what becomes of one message or request, step by step."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsgateway.cli.options import (
    DEFAULT_FILE,
    File,
    OpenApiBasePath,
    OpenApiLenient,
    OpenApiStage,
    Output,
    OutputOption,
    RegionOption,
)
from wsgateway.cli.terminal import indented, printable

if TYPE_CHECKING:
    from wsgateway.explain import Explanation

WIDTH = 22
"""Of the column with the steps' names."""

Body = Annotated[
    str,
    typer.Option(
        help="The message, or the request's body; @FILE reads it from a file, - from standard input.",
        show_default=False,
    ),
]
RouteKey = Annotated[
    str | None,
    typer.Option(help="The route, such as $connect (default: the one the message selects).", show_default=False),
]
Connect = Annotated[bool, typer.Option("--connect", help="Explain a handshake: --route '$connect'.")]
Header = Annotated[list[str] | None, typer.Option(help="A header of the handshake or request: 'NAME: VALUE'.")]
Query = Annotated[list[str] | None, typer.Option(help="A query parameter of it: NAME=VALUE.")]
Method = Annotated[
    str | None, typer.Option(help="Of a REST API: the request's method (default: GET).", show_default=False)
]
UrlPath = Annotated[
    str | None,
    typer.Option("--path", help="Of a REST API: the path behind the stage, such as /pets/3.", show_default=False),
]
Canary = Annotated[bool, typer.Option("--canary", help="Of a REST API: by the stage's canary.")]
Call = Annotated[bool, typer.Option("--call", help="Really call the backend, and go on with its answer.")]
Status = Annotated[
    int | None,
    typer.Option(help="Go on as if the backend had answered this status.", min=100, max=599, show_default=False),
]
ResponseBody = Annotated[
    str | None, typer.Option(help="… and this body (of a Lambda function: its result).", show_default=False)
]
ResponseHeader = Annotated[list[str] | None, typer.Option(help="… and this header: 'NAME: VALUE'.")]


def explain(
    file: File = DEFAULT_FILE,
    body: Body = "",
    route: RouteKey = None,
    connect: Connect = False,
    method: Method = None,
    path: UrlPath = None,
    canary: Canary = False,
    api: Annotated[str | None, typer.Option(help="The API (default: the file's default).")] = None,
    stage: Annotated[str | None, typer.Option(help="The stage (default: the only one).")] = None,
    header: Header = None,
    query: Query = None,
    call: Call = False,
    response_status: Status = None,
    response_body: ResponseBody = None,
    response_header: ResponseHeader = None,
    output: OutputOption = Output.TABLE,
    region: RegionOption = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
) -> int:
    """Show what FILE makes of a message: route, model, request, and with an answer also the response and the frame.

    With --method or --path, of a request to a REST API: method, request validator, request, response, answer.

    No backend is called without --call. Exit code 1 if the client would get an error.
    """
    if connect:
        if route not in (None, "$connect"):
            raise typer.BadParameter("is the route of --connect already", param_hint="--route")
        route = "$connect"
    if path is not None and not path.startswith("/"):
        raise typer.BadParameter("is the path behind the stage and begins with /", param_hint="--path")
    if method is not None and re.fullmatch(r"[A-Za-z]{1,32}", method) is None:
        raise typer.BadParameter("is a method of HTTP, such as GET", param_hint="--method")
    canned = response_status is not None or response_body is not None or bool(response_header)
    if canned and call:
        raise typer.BadParameter("really calls the backend; leave out --response-…", param_hint="--call")

    import uvloop

    from wsgateway.explain import Question
    from wsgateway.explain import explain as explained
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.loader import load
    from wsgateway.model.openapi.reading import Reading

    answer = None
    if canned:
        headers = tuple((name.encode(), value.encode()) for name, value in map(_header, response_header or ()))
        answer = EndpointResponse(response_status or 200, headers, _content(response_body or ""))
    question = Question(
        api=api,
        stage=stage,
        route=route,
        method=None if method is None else method.upper(),
        path=path,
        canary=canary,
        body=_content(body),
        headers=tuple(map(_header, header or ())),
        query=tuple(map(_parameter, query or ())),
        answer=answer,
        call=call,
    )
    reading = Reading(stage=openapi_stage, base_path=openapi_base_path, lenient=openapi_lenient)
    explanation = uvloop.run(explained(load(file, os.environ, reading), os.environ, question, region))
    if output is Output.JSON:
        print(json.dumps(_document(explanation), indent=2, ensure_ascii=False))
    else:
        _print(explanation)
        if explanation.waits:
            print("the backend was not called: --call does, --response-status and --response-body stand for its answer",
                  file=sys.stderr)  # fmt: skip
    return 1 if explanation.failed else 0


def _content(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]} can't be read: {error.strerror}", param_hint="--body") from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text!r} is no header; write 'NAME: VALUE'", param_hint="--header")
    return name.strip(), value.strip()


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is no parameter; write NAME=VALUE", param_hint="--query")
    return name, value


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "api": explanation.api,
        "stage": explanation.stage,
        "route": explanation.route,
        "failed": explanation.failed,
        "steps": [{"step": step, "value": value} for step, value in explanation.steps],
    }


def _print(explanation: Explanation) -> None:
    for step, value in explanation.steps:
        first, *more = printable(_text(step, value)).split("\n")
        print(f"{step:<{WIDTH}}{first}".rstrip())
        for line in more:
            print(f"{'':<{WIDTH}}{line}".rstrip())


def _text(step: str, value: Any) -> str:
    """What a step made, as people read it."""
    match step, value:
        case "route", {"route": route, "expression": None}:
            return str(route)
        case "route", {"route": route, "expression": expression, "value": selected}:
            gave = "the message is no JSON" if selected is None else f"{expression} gives {json.dumps(selected)}"
            return f"{route}  ({gave})"
        case "method", {"method": method, "parameters": parameters}:
            taken = ", ".join(f"{name}={text}" for name, text in parameters.items())
            return (method or "none answers") + (f"  ({taken})" if taken else "")
        case "parameters", {"missing": missing}:
            return f"missing: {', '.join(missing)}" if missing else "all required ones are there"
        case "model", {"model": model, "valid": valid, "errors": errors}:
            return f"{model or 'none'}  ({'the message fits' if valid else errors})"
        case "error", {"status": status, "type": kind, "reason": reason}:
            return f"{status} {kind}\n{reason}"
        case ("frame", None):
            return "none"
        case ("handshake", {"status": 101}):
            return "101 Switching Protocols"
        case ("identity", dict()):
            return json.dumps(value, indent=2, ensure_ascii=False)
        case (_, dict()):
            return _content_text(value)
        case (_, str()):
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _content_text(value: dict[str, Any]) -> str:
    """A request, a response or a frame: first line, headers, body. All as it is, but for the events of functions."""
    lines = [str(value[key]) for key in ("request", "status", "name") if value.get(key) not in (None, "")]
    function = value.get("function")
    lines += [] if function is None else [f"function {function}"]
    fields = value.get("headers") or value.get("fields") or []
    lines += [f"{name}: {text}" for name, text in fields]
    body = value.get("body", value.get("bodyBase64"))
    if not body:
        return "\n".join(lines) or "(empty)"
    text = body if function is None else indented(body) or body
    return "\n".join([*lines, *([""] if lines else []), text])
