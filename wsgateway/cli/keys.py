"""`wsgateway keys`: make API keys, or bring those of AWS along. What goes into the definition is their hashes."""

from __future__ import annotations

import csv
import json
import re
import secrets
import string
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from wsgateway.cli.options import Output, OutputOption
from wsgateway.errors import SettingError
from wsgateway.model.api_key import NAME, NAME_RULE, ApiKey, digest_of
from wsgateway.model.expansion import VARIABLE
from wsgateway.model.explain import shown
from wsgateway.model.key_file import read_keys

app = typer.Typer(help="Make API keys, or import those of AWS.", no_args_is_help=True)

LENGTH = 40
"""Characters of a key, as AWS makes them: 238 bits."""
ALPHABET = string.ascii_letters + string.digits
MOST_BYTES = 16 << 20

Name = Annotated[str, typer.Argument(help="The name that usage plans, logs and events know the key by.")]
CsvFile = Annotated[
    Path, typer.Argument(help="A file as `aws apigateway import-api-keys` reads it.", metavar="FILE.csv")
]


@app.command("create")
def create(
    name: Name,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    customer_id: Annotated[str, typer.Option(help="Whose it is.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Make an API key: print it, this once, and what to write under `apiKeys`, which holds its hash alone."""
    if re.fullmatch(NAME, name) is None:
        raise SettingError(f"{shown(name)} can't be a key's name: {NAME_RULE}")
    if any(VARIABLE.search(text) for text in (name, description, customer_id)):
        raise SettingError("a definition takes ${NAME} for a variable of the environment; write it otherwise")
    value = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    key = {"name": name, "valueSha256": digest_of(value).hex()}
    key |= {field: text for field, text in (("description", description), ("customerId", customer_id)) if text}
    if output is Output.JSON:
        print(json.dumps({**key, "value": value}, indent=2))
        return
    print(f"{value}\n")
    print("\n".join(_item(key)))
    print(
        "The first line is the key, which is kept nowhere. Write the rest under apiKeys, and the name under those of "
        "a usage plan.",
        file=sys.stderr,
    )


@app.command("import")
def import_keys(
    file: CsvFile,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV file for `apiKeys: file:PATH` instead.")] = False,
) -> None:
    """Print what to write under `apiKeys` for the keys in a file of AWS: their hashes, not the keys."""
    found = read_keys(_text(file), str(file))
    if as_csv:
        _print_csv(found.keys)
    elif found.keys:
        items = [key.model_dump(by_alias=True, exclude_defaults=True) for key in found.keys]
        print("\n".join(["apiKeys:", *(line for item in items for line in _item(item))]))
    else:
        print("apiKeys: []")
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _print_csv(keys: Iterable[ApiKey]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("Name", "KeySha256", "Description", "Enabled", "UsagePlanIds"))
    for key in keys:
        plans = ",".join(key.usage_plans)
        writer.writerow((key.name, key.value_sha256, key.description, str(key.enabled).lower(), plans))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingError(f"{file} can't be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise SettingError(f"{file} is larger than {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"{file} is not UTF-8; save it so") from error


def _item(fields: Mapping[str, object]) -> Iterable[str]:
    """An entry of a list in YAML; JSON's strings are strings there, too."""
    for number, (name, value) in enumerate(fields.items()):
        yield f"  {'- ' if not number else '  '}{name}: {json.dumps(value, ensure_ascii=False)}"
