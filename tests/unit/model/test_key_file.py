"""AWS's file of API keys."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import DefinitionError
from wsgateway.model.api_key import digest_of
from wsgateway.model.definitions import Definitions
from wsgateway.model.key_file import read_keys
from wsgateway.model.loader import parse

ONE, TWO = "apikey1234abcdefghij0123456789", "apikey1234abcdefghij012345678x"


def problems(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read_keys(text, "keys.csv")
    return [str(problem) for problem in caught.value.problems]


def test_the_example_of_the_developer_guide() -> None:
    """API Gateway developer guide, "API key file format"."""
    found = read_keys(
        f'Name,key,description,Enabled,usageplanIds\r\nMyFirstApiKey,{ONE},An imported key,TRUE,"c7y23b,d8z34c"\r\n'
        f"MySecondApiKey,{TWO},,FALSE,\r\n",
        "keys.csv",
    )

    first, second = found.keys
    assert (first.name, first.digest, first.enabled) == ("MyFirstApiKey", digest_of(ONE), True)
    assert (first.description, first.usage_plans) == ("An imported key", ["c7y23b", "d8z34c"])
    assert (second.name, second.digest, second.enabled) == ("MySecondApiKey", digest_of(TWO), False)
    assert (second.description, second.usage_plans) == (None, [])
    assert found.warnings == ()


def test_columns_in_any_order_others_passed_over_and_empty_lines() -> None:
    found = read_keys(f"other,KEY,name\n\nx,{ONE},a\n,,\n", "keys.csv")

    assert [(key.name, key.digest) for key in found.keys] == [("a", digest_of(ONE))]


def test_hashes_in_place_of_keys() -> None:
    (key,) = read_keys(f"name,keysha256\na,{digest_of(ONE).hex()}\n", "keys.csv").keys

    assert key.digest == digest_of(ONE)


def definition(text: str, folder: Path, keys: str = "file:keys.csv") -> Definitions:
    (folder / "keys.csv").write_text(text)
    return parse(
        f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes: {{$connect: {{apiKeyRequired: true}}}}
apiKeys: {keys}
usagePlans:
  gold: {{apiStages: [{{apiId: chat, stage: dev}}]}}
""",
        "routes.yaml",
        {},
        folder,
    ).definitions


def test_a_definition_may_name_a_file_of_keys_and_keys_their_plans(tmp_path: Path) -> None:
    many = "".join(f"k{number},{number:030},gold\n" for number in range(10_000))
    found = definition(f"Name,Key,UsagePlanIds\n{many}", tmp_path)

    assert len(found.api_keys) == 10_000
    assert found.plans["gold"].api_keys == [key.name for key in found.api_keys]
    written = f"[{{name: a, value: {ONE}, usagePlans: [gold]}}]"
    assert definition("", tmp_path, written).plans["gold"].api_keys == ["a"]


@pytest.mark.parametrize(
    ("text", "keys", "problem"),
    [
        pytest.param("Name,Key\na,short\n", "file:keys.csv", "keys.csv:2: Key: an API key has 20", id="a short key"),
        pytest.param("", "file:none.csv", "can't be read", id="no file"),
        pytest.param("", "keys.csv", "write file: and the path", id="no file: in front"),
        pytest.param("", "7", "expected a list", id="a number"),
        pytest.param(
            f"Name,Key,UsagePlanIds\na,{ONE},silver\n", "file:keys.csv", "a: no plan is named silver", id="no such plan"
        ),
    ],
)
def test_a_file_that_can_not_be_used(text: str, keys: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition(text, tmp_path, keys)

    (found,) = caught.value.problems
    assert problem in str(found)
    assert found.line == 8


def test_a_key_again_takes_the_place_of_the_one_before() -> None:
    found = read_keys(f"Name,Key\na,{ONE}\nb,{TWO}\nc,{ONE}\n", "keys.csv")

    assert [key.name for key in found.keys] == ["b", "c"]
    assert found.warnings == ("keys.csv:4: the key of a comes again; this line counts",)


def test_keys_of_one_name_get_names_of_their_own() -> None:
    found = read_keys(f"Name,Key\na,{ONE}\na-2,{ONE}2\na,{TWO}\n", "keys.csv")

    assert [key.name for key in found.keys] == ["a", "a-2", "a-3"]
    assert found.warnings == ("keys.csv: another key is named a, too; this one is called a-3 here",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "",
            "keys.csv:1: the first line names the columns, and has to have Name and Key (or KeySha256) once",
            id="nothing",
        ),
        pytest.param("Name,Value\n", "has to have Name and Key (or KeySha256) once", id="no column of keys"),
        pytest.param("Name,Key,key\n", "has to have Name and Key (or KeySha256) once", id="two columns of keys"),
        pytest.param("Name,Key\na,short\n", "keys.csv:2: Key: an API key has 20 to 128 characters", id="a short key"),
        pytest.param(f"Name,Key\n,{ONE}\n", "keys.csv:2: Name: a key's name is 1 to 256", id="no name"),
        pytest.param("Name,Key\na\n", "this has 0", id="no key"),
        pytest.param(f"Name,Key,Enabled\na,{ONE},yes\n", "yes is neither true nor false", id="yes"),
        pytest.param(f'Name,Key\n"a,{ONE}\n', "is no CSV", id="a quote that does not end"),
        pytest.param(f"Name,Key\n${{HOME}},{ONE}\n", "write it otherwise", id="a variable"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    found = problems(text)

    assert problem in "\n".join(found)


@given(st.text() | st.lists(st.text(alphabet='aK",\n\r ')).map(lambda rows: "Name,Key\n" + "\n".join(rows)))
def test_any_text_is_keys_or_problems(text: str) -> None:
    with suppress(DefinitionError):
        found = read_keys(text, "keys.csv")
        assert len({key.name for key in found.keys}) == len(found.keys)
