"""Which methods the keys of `methodSettings` name (API Gateway API reference, v1, Stage and MethodSetting)."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse
from wsgateway.model.method_settings import method_of

DEFINITION = """\
apis:
  shop:
    protocolType: REST
    paths:
      /: {GET: {integration: {type: MOCK}}}
      /pets/{petId}: {GET: {integration: {type: MOCK}}, ANY: {integration: {type: MOCK}}}
    stages:
      v1:
        methodSettings:
"""


def faults(lines: str) -> list[str]:
    """What is said of a stage with these settings, from their keys on."""
    text = DEFINITION + "".join(f"          {line}\n" for line in lines.splitlines())
    try:
        parse(text, "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem).partition("methodSettings.")[2] for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("key", "method"),
    [
        pytest.param("*/*", ("*", "*"), id="all"),
        pytest.param("/*/*", ("*", "*"), id="all, as CloudFormation's users write it"),
        pytest.param("pets/{petId}/GET", ("/pets/{petId}", "GET"), id="as API Gateway names it"),
        pytest.param("/pets/{petId}/GET", ("/pets/{petId}", "GET"), id="with its slash"),
        pytest.param("~1pets~1{petId}/GET", ("/pets/{petId}", "GET"), id="as in a patch"),
        pytest.param("/GET", ("/", "GET"), id="the root"),
        pytest.param("~1/GET", ("/", "GET"), id="the root, as in a patch"),
    ],
)
def test_a_key_names_a_method(key: str, method: tuple[str, str]) -> None:
    assert method_of(key) == method


def test_keys_of_methods_there_are_are_legal() -> None:
    assert faults("'*/*': {}\n'/GET': {}\n'pets/{petId}/GET': {}\n'~1pets~1{petId}/ANY': {}") == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("'pets/{petId}/POST': {}", "pets/{petId}/POST: the API has no method pets/{petId}/POST; did you mean"),
        ("'GET': {}", "GET: the API has no method GET"),
        ("'pets/*': {}", "pets/*: the API has no method pets/*"),
        ("'/GET': {}\n'~1/GET': {}", "~1/GET: names the method that /GET names, too; keep one of the two"),
    ],
)
def test_keys_that_name_none_are_refused(lines: str, said: str) -> None:
    assert [fault for fault in faults(lines) if fault.startswith(said)], faults(lines)
