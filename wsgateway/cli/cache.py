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
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    installation_secret_file: SecretFile = None,
) -> None:
    """Forget all answers that a stage keeps: on every node where they meet in Redis, else on the one that is asked."""
    path = f"/restapis/{quote(api, safe='')}/stages/{quote(stage, safe='')}/cache/data"
    call(endpoint, "DELETE", path, headers=authorization(installation_secret_file))
    print(f"{api}/{stage} keeps no answer that was made before")
