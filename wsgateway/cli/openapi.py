"""`wsgateway import openapi`: an OpenAPI document as a definition file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wsgateway.cli.options import RegionOption, check_stage
from wsgateway.errors import SettingError

if TYPE_CHECKING:
    from wsgateway.model.openapi.importing import Imported

imports = typer.Typer(help="Make a definition of what is defined elsewhere.", no_args_is_help=True)


@imports.callback()
def _group() -> None:
    """Keeps `openapi` a verb of its own while it is the only one."""


DocumentFile = Annotated[Path, typer.Argument(help="Swagger 2.0 or OpenAPI 3.0, YAML or JSON.", metavar="FILE")]
OutputFile = Annotated[
    Path | None, typer.Option("--output-file", "-o", help="Where to write the definition (default: stdout).")
]


@imports.command("openapi")
def import_openapi(
    file: DocumentFile,
    output_file: OutputFile = None,
    api: Annotated[str | None, typer.Option(help="The apiId (default: what the document says).")] = None,
    stage: Annotated[
        str | None,
        typer.Option(help="The stage (default: the base path's first segment, else default).", callback=check_stage),
    ] = None,
    base_path: Annotated[
        Literal["ignore", "prepend", "split"],
        typer.Option(
            help="What becomes of the base path: ignore leaves paths as they are, prepend puts it before them, split "
            "what is behind its first segment."
        ),
    ] = "ignore",
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Leave out what is not supported, with a warning each.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    region: RegionOption = None,
) -> None:
    """Print FILE, a document with API Gateway's extensions, as a definition; every part that is not read is told."""
    from wsgateway.model.openapi.importing import import_document
    from wsgateway.model.openapi.reading import Reading

    if output_file is not None and output_file.exists() and not force:
        raise SettingError(f"{output_file} is there already; give another name, or --force")
    environ = dict(os.environ) | ({"WSGATEWAY_REGION": region} if region else {})
    imported = import_document(file, environ, Reading(api, stage, base_path, lenient))
    _check(imported, output_file, environ, region)
    for note in imported.loaded.notes:
        print(f"warning: {note}", file=sys.stderr)
    _write(imported.text, output_file)


def _check(imported: Imported, output_file: Path | None, environ: dict[str, str], region: str | None) -> None:
    """That it is what `serve` takes: the document, for the lines in it, and the definition, where it will lie.

    *Raises* DefinitionError.
    """
    from wsgateway.model.loader import parse
    from wsgateway.wiring import check_definitions

    asyncio.run(check_definitions(imported.loaded, environ, region))
    name, folder = ("routes.yaml", Path()) if output_file is None else (str(output_file), output_file.parent)
    parse(imported.text, name, environ, folder)


def _write(text: str, output_file: Path | None) -> None:
    if output_file is None:
        print(text, end="")
        return
    try:
        output_file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"{output_file} can't be written: {error.strerror}") from error
