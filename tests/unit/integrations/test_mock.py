"""MOCK (API Gateway developer guide, "Mock integrations")."""

from __future__ import annotations

import pytest

from tests.unit.dataplane.values import message, quotas
from wsgateway.errors import ApiConfigurationError
from wsgateway.integrations.base import Site
from wsgateway.integrations.mock import Mock
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointResponse
from wsgateway.model.integration import Integration


def site(*, two_way: bool) -> Site:
    return Site(
        api_id="chat",
        definition=("integrations", "mock"),
        route_key="say",
        event_type=EventType.MESSAGE,
        stage_variables={},
        quotas=quotas(),
        two_way=two_way,
    )


def answer(status: str, responses: dict[str, str | None], *, two_way: bool = True) -> EndpointResponse:
    """What a MOCK of that status answers; `responses` holds the template of each integration response."""
    definition = {
        "integrationType": "MOCK",
        "requestTemplates": {"$default": f'{{"statusCode": {status}}}'},
        "integrationResponses": {
            key: {} if template is None else {"responseTemplates": {"$default": template}}
            for key, template in responses.items()
        },
    }
    call = Mock().compile(Integration.model_validate(definition), site(two_way=two_way))
    given = call(message())
    assert isinstance(given, EndpointResponse)
    return given


@pytest.mark.parametrize(
    ("status", "responses", "text"),
    [
        pytest.param("200", {"$default": "hi"}, b"hi", id="the default response"),
        pytest.param("200", {"/200/": "yes", "$default": "no"}, b"yes", id="its status before the default"),
        pytest.param("404", {"/200/": "yes", "$default": "no"}, b"no", id="the default for another status"),
        pytest.param("200", {"$default": ""}, b"", id="an empty template"),
        pytest.param("200", {"$default": None}, None, id="no template, nothing to say"),
    ],
)
def test_a_mock_answers(status: str, responses: dict[str, str | None], text: bytes | None) -> None:
    given = answer(status, responses)

    assert (given.status, given.body) == (int(status), text)


@pytest.mark.parametrize("responses", [{}, {"/200/": "yes"}], ids=["none", "none for this status"])
def test_a_two_way_mock_needs_an_integration_response_that_fits(responses: dict[str, str | None]) -> None:
    with pytest.raises(ApiConfigurationError, match="status 500"):
        answer("500", responses)


def test_a_one_way_mock_needs_none() -> None:
    assert answer("403", {}, two_way=False) == EndpointResponse(
        403, ((b"Content-Type", b"application/json"),), None, False
    )
