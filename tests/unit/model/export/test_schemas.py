"""Models as schemas of documents: whatever fits the model fits the schema, and the document is valid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator
from openapi_spec_validator.validation.exceptions import ExtraParametersError

from wsgateway.model.export.schemas import WHERE, Form, Schemas
from wsgateway.model.models import Model
from wsgateway.templates.schema import Models

URL = "https://apigateway.amazonaws.com/restapis/shop/models/"


def converted(schema: dict[str, Any], form: Form = "oas30", **others: Any) -> dict[str, Any]:
    models = {name: {"schema": each} for name, each in {"Model": schema, **others}.items()}
    return Schemas(models, form).components()


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param({"type": ["string", "null"]}, {"type": "string", "nullable": True}, id="a type and null"),
        pytest.param(
            {"type": ["string", "array", "null"]},
            {"anyOf": [{"type": "string", "nullable": True}, {"type": "array", "items": {}}]},
            id="several types",
        ),
        pytest.param({"type": "null"}, {}, id="null alone has no word"),
        pytest.param({"type": "array"}, {"type": "array", "items": {}}, id="a list of anything"),
        pytest.param({"items": [{"type": "string"}]}, {"items": {}}, id="places of a list"),
        pytest.param(
            {"patternProperties": {"^x": {}}, "additionalProperties": False}, {}, id="names by pattern, and no others"
        ),
        pytest.param({"$schema": "http://json-schema.org/draft-04/schema#", "id": "a"}, {}, id="what it is"),
        pytest.param({"required": []}, {}, id="nothing required"),
        pytest.param({"$ref": URL + "Other"}, {"$ref": "#/components/schemas/Other"}, id="another model"),
        pytest.param(
            {"$ref": URL + "Other#/definitions/a~1b"}, {"$ref": "#/components/schemas/Other.a_b"}, id="a part of it"
        ),
        pytest.param(
            {"$ref": URL + "Other#/definitions/a%20b/items"},
            {"$ref": "#/components/schemas/Other.a_b_2/items"},
            id="a part of a part",
        ),
        pytest.param({"$ref": "#"}, {"$ref": "#/components/schemas/Model"}, id="itself"),
        pytest.param({"$ref": URL + "Empty"}, {"$ref": "#/components/schemas/Empty"}, id="a built-in one"),
        pytest.param({"$ref": URL + "Nobody"}, {}, id="nobody"),
        pytest.param({"$ref": "#/patternProperties/x"}, {}, id="a part that the document leaves out"),
        pytest.param({"enum": [{"$ref": "x"}]}, {"enum": [{"$ref": "x"}]}, id="values are no schemas"),
    ],
)
def test_keywords(schema: dict[str, Any], said: dict[str, Any]) -> None:
    other = {"definitions": {"a/b": {"type": "string"}, "a b": {"items": {}}}}

    assert converted(schema, Other=other)["Model"] == said


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "$ref"]), inner, max_size=2),
    max_leaves=4,
)
kinds = st.sampled_from(["string", "null", "array", "object", "integer", "boolean", "number"])


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    named = st.dictionaries(st.sampled_from(["a", "b", "enum"]), inner, max_size=2)
    some = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kinds | st.lists(kinds, min_size=1, max_size=3, unique=True),
            "enum": st.lists(values, min_size=1, max_size=3, unique_by=json.dumps),
            "properties": named,
            "patternProperties": named,
            "additionalProperties": st.booleans() | inner,
            "items": inner | some,
            "additionalItems": st.booleans() | inner,
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True, min_size=1),
            "dependencies": named,
            "allOf": some,
            "anyOf": some,
            "maxItems": st.integers(0, 2),
            "maximum": st.integers(0, 2),
            "exclusiveMaximum": st.booleans(),
            "definitions": st.dictionaries(st.text("a_ /", max_size=2), inner, max_size=2),
            "description": st.text(max_size=3),
        },
    ).filter(lambda schema: "maximum" in schema or "exclusiveMaximum" not in schema)


schemas = st.recursive(st.just({}).map(dict), _nested, max_leaves=6)


def problems(validator: OpenAPIV2SpecValidator | OpenAPIV30SpecValidator) -> list[object]:
    """What is wrong with a document, without advice that is no rule: that what is required be defined."""
    return [each for each in validator.iter_errors() if not isinstance(each, ExtraParametersError)]


@settings(max_examples=40)
@given(_nested(schemas), st.lists(values, min_size=1, max_size=3))
def test_documents_are_valid_and_let_in_all_that_models_do(schema: dict[str, Any], instances: list[Any]) -> None:
    components = converted(schema)
    document = {"openapi": "3.0.1", "info": {"title": "a", "version": "b"}, "paths": {}}
    assert not problems(OpenAPIV30SpecValidator({**document, "components": {"schemas": components}}))
    swagger = {"swagger": "2.0", "info": {"title": "a", "version": "b"}, "paths": {}}
    definitions = converted(schema, "swagger")
    assert not problems(OpenAPIV2SpecValidator({**swagger, "definitions": definitions}))
    assert WHERE["oas30"] not in str(definitions)
    fits = Models("shop", {"Model": Model.model_validate({"schema": schema})}).validator("Model")
    said = OAS30Validator({"$ref": "#/components/schemas/Model", "components": {"schemas": components}})
    for each in instances:
        assert fits(json.dumps(each).encode()) is not None or said.is_valid(each), components
