"""docs/templates.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.dataplane.values import client
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import Message
from wsgateway.templates import jsonpath, pattern
from wsgateway.templates.comparisons import SYMBOLS, WORDS
from wsgateway.templates.functions import FUNCTIONS
from wsgateway.templates.mapping import request_names, request_overrides, response_overrides
from wsgateway.templates.vtl import compile
from wsgateway.templates.vtl.base import STEPS, Methods
from wsgateway.templates.vtl.methods_lists import LISTS
from wsgateway.templates.vtl.methods_maps import MAPS
from wsgateway.templates.vtl.methods_numbers import BOOLEANS, NUMBERS
from wsgateway.templates.vtl.runtime import MAX_CALLS, MAX_ITERATIONS, MAX_OUTPUT
from wsgateway.templates.vtl.template import MAX_TEMPLATE
from wsgateway.templates.vtl.values import STRING_METHODS

PAGE = (Path(__file__).parents[3] / "docs" / "templates.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def event(body: str) -> Invocation:
    of = client(connection_id="Zk2tYb8=")
    return Invocation(of, EventType.MESSAGE, "order", {"table": "orders"}, message=Message(body.encode()))


def test_the_example_writes_what_stands_below_it() -> None:
    template, output, body = blocks("velocity")[0], blocks("text")[0], blocks("json")[0]

    assert compile(template).render(request_names(event(body))) == output


def test_the_overrides_are_taken() -> None:
    invocation = event('{"id": 7}')
    compile(blocks("velocity")[1]).render(request_names(invocation))
    request, response = request_overrides(invocation), response_overrides(invocation)

    assert request.header == {"X-Tenant": ["blue"]}
    assert request.querystring == {"page": ["2"]}
    assert request.path == {"id": "7"}
    assert response.header == {"Location": ["/a", "/b"]}
    assert response.status == 400


@pytest.mark.parametrize(
    ("kind", "methods"),
    [("strings", STRING_METHODS), ("lists", LISTS), ("maps", MAPS), ("numbers", NUMBERS), ("booleans", BOOLEANS)],
)
def test_all_methods_are_listed(kind: str, methods: Methods) -> None:
    listed = re.search(rf"^\| {kind} \| `([^`]*)`", PAGE, re.MULTILINE)

    assert listed is not None
    assert listed[1].split() == sorted({name for name, _ in methods})


def test_the_budgets_are_those() -> None:
    rows = re.findall(r"^\| (?:iterations|steps|the template|output|nesting)[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)

    assert rows == [
        f"{MAX_TEMPLATE // 1024} KiB",
        f"{MAX_ITERATIONS:,}",
        f"{STEPS:,}",
        f"{MAX_OUTPUT // 2**20} MiB",
        f"50; {MAX_CALLS}",
    ]


def test_all_operators_and_functions_of_jsonpath_are_listed() -> None:
    section = PAGE.partition("## JSONPath")[2].partition("## Regular expressions")[0]
    operators, functions = section.partition("| operator |")[2].partition("| function |")[::2]

    listed = re.findall(r"`([^`]*)`", "".join(re.findall(r"^\| ([^|]*) \|", operators, re.MULTILINE)))
    assert listed == [*SYMBOLS, "=~", *WORDS]
    assert sorted(
        re.findall(r"`\.(\w+)\([^`]*\)`", "".join(re.findall(r"^\|([^|]*)", functions, re.MULTILINE)))
    ) == sorted(FUNCTIONS)


def test_paths_that_are_listed_are_paths() -> None:
    rows = PAGE.partition("| written | finds |")[2].partition("A path that")[0]
    for written in re.findall(r"`([^`]*)`", "".join(re.findall(r"^\| ([^|]*(?:\|\|[^|]*)*) \|", rows, re.MULTILINE))):
        jsonpath.compile(written)


def test_patterns_that_are_refused_are_refused() -> None:
    section = PAGE.partition("| refused | write instead |")[2].partition("A pattern has")[0]
    first = [row.partition(" | ")[0] for row in section.splitlines()[2:] if row]
    refused = [written for row in first for written in re.findall(r"`([^`]*)`", row) if written != "$"]

    assert len(refused) > 20
    for written in refused:
        with pytest.raises(pattern.PatternError):
            pattern.compile(written.replace("…", "a"))
