"""`wsgateway cache`: the answers that stages of REST APIs keep."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from wsgateway.cli.deployments import SecretFile, authorization
from wsgateway.cli.internal import DEFAULT_ENDPOINT, Endpoint, call

app = typer.Typer(help="Have stages of REST APIs forget the answers they keep.", no_args_is_help=True)


@app.callback()
def cache() -> None:
    """Have stages of REST APIs forget the answers they keep."""


@app.command("flush")
def flush(
    api: Annotated[str, typer.Argument(help="The API's id.")],
    stage: Annotated[str, typer.Argument(help="The stage.")],
    authorizers: Annotated[
        bool,
        typer.Option("--authorizers", help="Forget what authorizers said, and nothing else."),
    ] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    installation_secret_file: SecretFile = None,
) -> None:
    """Forget all answers that a stage keeps: on every node where they meet in Redis, else on the one that is asked."""
    what = "authorizers" if authorizers else "data"
    path = f"/restapis/{quote(api, safe='')}/stages/{quote(stage, safe='')}/cache/{what}"
    call(endpoint, "DELETE", path, headers=authorization(installation_secret_file))
    whose = "answer of an authorizer" if authorizers else "answer"
    print(f"{api}/{stage} keeps no {whose} that was made before")
