"""`wsgateway usage`: what the API keys of usage plans have used, and what they have left."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from wsgateway.cli.deployments import SecretFile, authorization
from wsgateway.cli.internal import DEFAULT_ENDPOINT, Endpoint, call
from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.cli.terminal import one_line
from wsgateway.errors import StartError

Plan = Annotated[str | None, typer.Argument(help="The usage plan; all of them where it is left out.")]


def usage(
    plan: Plan = None,
    key: Annotated[str | None, typer.Option(help="The name of one API key.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first day, YYYY-MM-DD in UTC; today.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last day; today.")] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    output: OutputOption = Output.TABLE,
    installation_secret_file: SecretFile = None,
) -> None:
    """Show what each API key of a usage plan used on each day, and what its quota had left then."""
    asked = {"usagePlanId": plan, "keyId": key, "startDate": start, "endDate": end}
    query = {name: value for name, value in asked.items() if value is not None}
    rows: list[dict[str, object]] = []
    position = "0"
    while position:
        path = f"/usage?{urlencode(query | {'position': position})}"
        answer = call(endpoint, "GET", path, headers=authorization(installation_secret_file))
        try:
            page: dict[str, Any] = json.loads(answer)
            rows += [row for item in page["items"] for row in _rows(item)]
            position = str(page.get("position", ""))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StartError(f"{endpoint} answers, but not as the gateway's internal listener does") from error
    print_rows(rows, output)


def _rows(item: dict[str, Any]) -> list[dict[str, object]]:
    """One for each key and day; of days on which a key used nothing only the last."""
    quota = item["quota"]
    limit = None if quota is None else f"{quota['limit']} a {quota['period'].lower()}"
    days = _dates(item["startDate"], len(next(iter(item["values"].values()), ())))
    return [
        {
            "plan": one_line(item["usagePlanId"]),
            "key": one_line(key),
            "day": day,
            "used": used,
            "left": left,
            "quota": limit,
        }
        for key, values in item["values"].items()
        for day, (used, left) in zip(days, values, strict=True)
        if used or day == days[-1]
    ]


def _dates(start: str, number: int) -> list[str]:
    return [str(date.fromisoformat(start) + timedelta(day)) for day in range(number)]
