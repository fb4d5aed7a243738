"""What a MOCK takes for a statusCode: JSON, and what AWS was recorded to take besides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.integrations.lenient import status_code


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param('{"statusCode": 200}', 200, id="JSON"),
        pytest.param('{"a": {"statusCode": 1}, "statusCode": 404}', 404, id="beside an object that has one, too"),
        pytest.param('{"statusCode": 200, "statusCode": 201}', 201, id="the last of two"),
        pytest.param('{"statusCode": 0}', 0, id="nought"),
        pytest.param('{"statusCode": -1000}', -1000, id="less than nought"),
        pytest.param("{statusCode: 200}", 200, id="no quotes"),
        pytest.param("{'statusCode': 200, '': ''}", 200, id="single quotes"),
        pytest.param('{"statusCode": 200 ,, }', 200, id="commas too many"),
        pytest.param("{statusCode: 200,}", 200, id="a trailing comma"),
        pytest.param("  { statusCode : 200 }\n", 200, id="blanks"),
        pytest.param("{statusCode: 200, {: x}", 200, id="a brace astray"),
        pytest.param("{a: {statusCode: 1}, statusCode: 200}", 200, id="nested, without quotes"),
        pytest.param("{a: [1, {b: 2}], 'statusCode': 302}", 302, id="behind a list"),
        pytest.param("{a: 'it\\'s, {', statusCode: 200}", 200, id="marks within quotes"),
        pytest.param('{"statusCode": "200"}', None, id="a string"),
        pytest.param("{statusCode: '200'}", None, id="a string in single quotes"),
        pytest.param('{"statusCode": 200.0}', None, id="a fraction"),
        pytest.param('{"statusCode": true}', None, id="a truth value"),
        pytest.param('{"statusCode": null}', None, id="null"),
        pytest.param('{"statusCode": {}}', None, id="an object"),
        pytest.param("{statusCode: {}}", None, id="an object, without quotes"),
        pytest.param("{statusCode: two}", None, id="a word"),
        pytest.param("{statusCode: }", None, id="nothing behind the colon"),
        pytest.param('{"statuscode": 200}', None, id="another spelling"),
        pytest.param('{"a": {"statusCode": 200}}', None, id="only a nested one"),
        pytest.param("{a: {statusCode: 200}}", None, id="only a nested one, without quotes"),
        pytest.param("{}", None, id="an empty object"),
        pytest.param("", None, id="nothing"),
        pytest.param("200", None, id="a number alone"),
        pytest.param('[{"statusCode": 200}]', None, id="a list"),
        pytest.param("statusCode: 200}", None, id="no first brace"),
        pytest.param("{statusCode: 200", None, id="no last brace"),
        pytest.param("{'statusCode\": 200}", None, id="quotes that don't match"),
        pytest.param('{"statusCode": 200, "a: 1}', None, id="a quote left open"),
        pytest.param("{" * 100_000, None, id="braces without end"),
        pytest.param('{"statusCode": 200, "a": "' + "x" * 5_000 + '"}', 200, id="much JSON"),
        pytest.param("{statusCode: 200, a: '" + "x" * 4_000 + "'}", 200, id="no JSON, of 4 KB"),
        pytest.param("{statusCode: 200, a: '" + "x" * 5_000 + "'}", None, id="more than that"),
        pytest.param('{"statusCode":' + "9" * 5_000 + "}", None, id="more digits than can be read"),
    ],
)
def test_the_status_code_of(text: str, status: int | None) -> None:
    assert status_code(text) == status


@given(st.text(alphabet="{}[]:,'\"\\ statusCode2-0\n", max_size=60))
def test_any_text_has_a_status_code_or_none(text: str) -> None:
    """No rendered text makes the reading raise."""
    found = status_code(text)

    assert found is None or type(found) is int


@given(st.integers(-(10**17), 10**17), st.sampled_from(['"statusCode"', "'statusCode'", "statusCode"]))
def test_any_integer_is_one(status: int, key: str) -> None:
    assert status_code(f"{{{key}: {status}, x: ,}}") == status
