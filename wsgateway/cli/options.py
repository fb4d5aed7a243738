"""Arguments and options that several verbs share."""

from __future__ import annotations

import json
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[Path, typer.Argument(help="The definition.", envvar="WSGATEWAY_FILE", show_default=True)]
DEFAULT_FILE = Path("routes.yaml")


def _region(text: str | None) -> str | None:
    if text is not None and re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}", text) is None:
        raise typer.BadParameter(f"{text!r} is no region; write one such as eu-west-1")
    return text


RegionOption = Annotated[
    str | None,
    typer.Option(
        help="The AWS region of functions and signatures (default: AWS_REGION, AWS_DEFAULT_REGION, the AWS profile's).",
        envvar="WSGATEWAY_REGION",
        callback=_region,
    ),
]


def check_stage(text: str | None) -> str | None:
    """The name of a stage. Raises BadParameter."""
    if text is not None and re.fullmatch(r"(?!execute-api$)[A-Za-z0-9_-]{1,128}", text) is None:
        raise typer.BadParameter(f"{text!r} is no stage; write 1 to 128 letters, digits, - and _")
    return text


OpenApiStage = Annotated[
    str | None,
    typer.Option(
        help="The stage of an OpenAPI document (default: the first segment of its base path, else default).",
        envvar="WSGATEWAY_OPENAPI_STAGE",
        callback=check_stage,
        show_default=False,
    ),
]
OpenApiBasePath = Annotated[
    Literal["ignore", "prepend", "split"],
    typer.Option(
        help="What becomes of the base path of an OpenAPI document: ignore leaves paths as they are, prepend puts it "
        "before them, split what is behind its first segment.",
        envvar="WSGATEWAY_OPENAPI_BASE_PATH",
    ),
]
OpenApiLenient = Annotated[
    bool,
    typer.Option(
        "--openapi-lenient",
        help="Leave out what of an OpenAPI document is not supported, with a warning each.",
        envvar="WSGATEWAY_OPENAPI_LENIENT",
    ),
]


class Output(Enum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Form(Enum):
    """How messages are shown."""

    PRETTY = "pretty"
    RAW = "raw"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="How to print the result.", envvar="WSGATEWAY_OUTPUT")]


def print_rows(rows: list[dict[str, object]], output: Output) -> None:
    """Print equal-shaped rows as a table, or as JSON."""
    if output is Output.JSON:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("nothing to show", file=sys.stderr)
        return
    from rich.console import Console  # the gateway itself starts without it
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)
