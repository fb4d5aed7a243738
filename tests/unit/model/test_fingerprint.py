"""What a node tells others of what it executes."""

from __future__ import annotations

from pathlib import Path

from wsgateway.model.fingerprint import fingerprint, short
from wsgateway.model.loader import Loaded, parse

TEXT = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {host: "${HOST:-backend.example}"}}}
    routes: {$default: {}}
"""
FILES = "domains: {chat.example: {certificate: file:a.pem, key: file:a.pem, mappings: {'': {api: chat, stage: dev}}}}\n"
KEY = b"an installation's secret"


def loaded(text: str = TEXT, folder: Path = Path(), **environ: str) -> Loaded:
    return parse(text, "routes.yaml", environ, folder)


def test_a_definition_without_values_from_outside_is_its_text() -> None:
    definition = loaded()

    assert fingerprint(definition, KEY) == fingerprint(definition, b"") == definition.digest
    assert fingerprint(loaded(OTHER="x"), KEY) == definition.digest
    assert fingerprint(loaded(TEXT + "# remark\n"), KEY) != definition.digest


def test_other_values_of_the_environment_are_another_definition() -> None:
    default, one, two = loaded(), loaded(HOST="one.example"), loaded(HOST="two.example")
    found = [fingerprint(definition, KEY) for definition in (default, one, two)]

    assert len(set(found)) == 3
    assert {seen.partition("+")[0] for seen in found} == {default.digest}
    assert fingerprint(loaded(HOST="one.example"), KEY) == found[1]


def test_other_contents_of_files_are_another_definition(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder, content in ((tmp_path, "one"), (elsewhere, "one")):
        (folder / "a.pem").write_text(content)
    before = fingerprint(loaded(TEXT + FILES, tmp_path), KEY)

    assert fingerprint(loaded(TEXT + FILES, elsewhere), KEY) == before
    (tmp_path / "a.pem").write_text("two")
    assert fingerprint(loaded(TEXT + FILES, tmp_path), KEY) != before


def test_values_can_be_tried_out_only_with_the_secret() -> None:
    definition = loaded(HOST="one.example")

    assert fingerprint(definition, KEY) != fingerprint(definition, b"")
    assert "one.example" not in fingerprint(definition, KEY)
    assert "one.example" not in repr(definition).replace(repr(definition.definitions), "")


def test_people_read_the_beginning() -> None:
    assert short("a" * 64) == "a" * 12
    assert short("a" * 64 + "+" + "b" * 16) == "a" * 12 + "+bbbb"
    assert short("") == ""
