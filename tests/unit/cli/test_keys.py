"""`wsgateway keys`: what people paste into their definition."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from wsgateway.cli.keys import create, import_keys
from wsgateway.cli.options import Output
from wsgateway.errors import DefinitionError, SettingError
from wsgateway.model.api_key import digest_of
from wsgateway.model.loader import parse

ONE, TWO = "apikey1234abcdefghij0123456789", "apikey1234abcdefghij012345678x"
REST = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$connect: {apiKeyRequired: true}}
usagePlans:
  gold: {apiKeys: [PLACE], apiStages: [{apiId: chat, stage: dev}]}
  silver: {apiStages: [{apiId: chat, stage: dev}]}
"""


def test_a_new_key_is_shown_once_and_what_is_to_be_written_fits(capsys: pytest.CaptureFixture[str]) -> None:
    create('the "app"', "for: phones # 1", "acme")

    out, err = capsys.readouterr()
    value, _, item = out.partition("\n\n")
    (key,) = parse(f"{REST.replace('PLACE', '')}apiKeys:\n{item}", "routes.yaml", {}, Path()).definitions.api_keys
    assert re.fullmatch("[A-Za-z0-9]{40}", value)
    assert (key.name, key.description, key.customer_id) == ('the "app"', "for: phones # 1", "acme")
    assert key.digest == digest_of(value)
    assert value not in item + err
    assert "kept nowhere" in err


def test_a_new_key_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    create("app", output=Output.JSON)
    create("app", output=Output.JSON)

    first, second = (json.loads(text + "}") for text in capsys.readouterr().out.split("}")[:2])
    assert digest_of(first["value"]).hex() == first["valueSha256"]
    assert first["value"] != second["value"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 257, "${HOME}"])
def test_a_name_that_can_not_be(name: str) -> None:
    with pytest.raises(SettingError):
        create(name)


def test_keys_of_aws_become_hashes_in_yaml_and_in_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.csv"
    file.write_text(f'Name,key,UsagePlanIds,enabled\nfirst,{ONE},"gold,silver",\nfirst,{TWO},,FALSE\n')

    import_keys(file)
    out, err = capsys.readouterr()
    assert out == (
        f'apiKeys:\n  - name: "first"\n    valueSha256: "{digest_of(ONE).hex()}"\n'
        '    usagePlans: ["gold", "silver"]\n'
        f'  - name: "first-2"\n    valueSha256: "{digest_of(TWO).hex()}"\n    enabled: false\n'
    )
    assert "called first-2 here" in err

    import_keys(file, as_csv=True)
    hashed = capsys.readouterr().out
    assert ONE not in hashed
    file.write_text(hashed)
    import_keys(file)
    assert capsys.readouterr().out == out


def test_files_that_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.csv"
    with pytest.raises(SettingError, match="can't be read"):
        import_keys(file)
    file.write_bytes(b"Name,Key\n\xff")
    with pytest.raises(SettingError, match="not UTF-8"):
        import_keys(file)
    file.write_text("Name,Key\na,short\n")
    with pytest.raises(DefinitionError, match=r"keys\.csv:2: Key: an API key has 20 to 128 characters, and this has 5"):
        import_keys(file)
    file.write_text("Name,Key\n")
    import_keys(file)
    assert capsys.readouterr().out == "apiKeys: []\n"
