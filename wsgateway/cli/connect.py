"""`wsgateway connect URL`: a client for the command line, at a terminal and in scripts."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wsgateway.cli.options import Form, RegionOption
from wsgateway.http1 import UnsafeHeader, field, is_token


def connect(
    url: Annotated[str, typer.Argument(help="ws://HOST:PORT/STAGE or wss://…")],
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="NAME: VALUE, sent with the handshake.")
    ] = None,
    subprotocol: Annotated[list[str] | None, typer.Option("--subprotocol", help="Offered to the gateway.")] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="PEM file of a private CA to trust, besides the system's.")
    ] = None,
    sign: Annotated[
        bool,
        typer.Option(
            "--sign", help="Sign the handshake (AWS_IAM) with the keys of the environment, or of the AWS profile."
        ),
    ] = False,
    region: RegionOption = None,
    binary: Annotated[
        bool, typer.Option("--binary/--text", help="Send each line, which must be base64, as a binary message.")
    ] = False,
    output: Annotated[
        Form | None,
        typer.Option(
            help="pretty: JSON indented; raw: each message as it came, and a line break; json: each event as a JSON "
            "line (default: pretty at a terminal, else raw)."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the handshake's answer, pings and pongs too.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to stay after the input has ended, counted from the last message received "
            "(default: 1, at a terminal 0).",
        ),
    ] = None,
) -> None:
    """Send each line of the input as a message and print each message received, until the input ends.

    At a terminal, type messages at the prompt; /help tells its commands.
    """
    from wsgateway.cli.conversation import Conversation, trust  # the other verbs start faster without a client
    from wsgateway.cli.screen import Screen

    headers = [_header(line) for line in header or ()]
    for name in subprotocol or ():
        if not is_token(name.encode()):
            raise typer.BadParameter(f"{name!r} is no subprotocol's name", param_hint="--subprotocol")
    typed = os.isatty(0)
    at_terminal = typed and os.isatty(1)
    screen = Screen(output or (Form.PRETTY if at_terminal else Form.RAW))
    # What is piped in ends at once, and its replies are still on their way.
    stay = wait if wait is not None else 0.0 if typed else 1.0
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")  # no line can be edited there
    client = Conversation(url, screen, binary=binary, verbose=verbose, stay=stay, prompt=at_terminal and not dumb)
    trusted = trust(url, ca)
    if sign:
        from wsgateway.cli.signed import signature

        headers += signature(url, region)
    try:
        code = asyncio.run(client.run(headers, list(subprotocol or ()), trusted))
    except KeyboardInterrupt:
        code = 0 if client.connected else 1
    sys.exit(code)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    try:
        field(name.strip().encode(), value.strip().encode())
    except UnsafeHeader:
        colon = ""
    if not colon or not line.isascii():
        raise typer.BadParameter(f"{line!r} is not NAME: VALUE in ASCII", param_hint="--header")
    return name.strip(), value.strip()
