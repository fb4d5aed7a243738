"""The JSON Schema that editors check a file with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from wsgateway.model import json_schema
from wsgateway.model.base import Definition, descriptions_of, fields_of
from wsgateway.model.document import compose
from wsgateway.model.expansion import Expansion

API = "apis: {a: {protocolType: WEBSOCKET, routeSelectionExpression: x, stages: {dev: }, routes: {say: {%s}}}}"


def as_editors_read(text: str) -> object:
    """The file's values with `${NAME}` as written."""
    root = compose(text).root
    assert root is not None
    return Expansion(_Unexpanded()).value(root)


class _Unexpanded(dict[str, str]):
    def get(self, name: str, default: Any = None) -> Any:
        return f"${{{name}:-{default}}}"


def definitions(base: type[Definition] = Definition) -> Iterator[type[Definition]]:
    for definition in base.__subclasses__():
        yield definition
        yield from definitions(definition)


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(json_schema())


def test_a_valid_file_is_valid_in_an_editor(sample: str) -> None:
    jsonschema_rs.Draft202012Validator(json_schema()).validate(as_editors_read(sample))


@pytest.mark.parametrize(
    ("route", "valid"),
    [
        pytest.param("integration: backend", True, id="our spelling"),
        pytest.param("target: integrations/backend", True, id="AWS's spelling"),
        pytest.param("routeResponse: true", True, id="two-way, ours"),
        pytest.param("routeResponses: {$default: {}}", True, id="two-way, AWS's"),
        pytest.param("routeResponse: '${TWO_WAY:-true}'", True, id="from the environment"),
        pytest.param("routeResponse: maybe", False, id="neither true nor false"),
        pytest.param("apiKeySource: x", False, id="a key nobody knows"),
        pytest.param("integration: {integrationType: HTPP}", False, id="a type nobody knows"),
        pytest.param("integration: {integrationType: MOCK}", True, id="a type that works"),
        pytest.param("description: ", False, id="nothing behind a key"),
        pytest.param("requestParameters: {header.a: true}", False, id="a key of the wrong form"),
    ],
)
def test_editors_see_what_is_wrong(route: str, valid: bool) -> None:
    validator = jsonschema_rs.Draft202012Validator(json_schema())

    assert validator.is_valid(as_editors_read(API % route)) is valid


@pytest.mark.parametrize("definition", list(definitions()), ids=lambda definition: definition.__name__)
def test_every_field_is_described_and_none_is_also_to_come(definition: type[Definition]) -> None:
    assert all(descriptions_of(definition).get(name) for name in fields_of(definition))
    assert not definition.not_yet & fields_of(definition).keys()
