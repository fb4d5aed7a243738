"""MOCK: answers from its templates alone, without a backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.integrations.base import Call, Site
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse, Message
from wsgateway.model import mock
from wsgateway.model.integration import Integration
from wsgateway.upstream.origin import Origin

JSON = ((b"Content-Type", b"application/json"),)


class Mock:
    """The IntegrationType of MOCK (API Gateway developer guide, "Mock integrations")."""

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The model has checked all there is while templates are static."""
        yield from ()

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return set()

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        """There is nothing to hold."""

    @property
    def refused(self) -> int:
        return 0

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that answers at once, with what was decided here.

        The request template's statusCode picks the integration response, `/NNN/` before `$default`. A two-way route
        without one that fits fails at run time, as on AWS; a one-way route or $connect needs none.
        """
        status = mock.status_code(mock.chosen(integration.request_templates) or "")
        if status is None:
            return _fails("the request template gives no integer statusCode")
        responses = integration.integration_responses
        chosen = responses.get(f"/{status}/") or responses.get("$default")
        if chosen is None and site.two_way:
            return _fails(f"no integration response matches status {status}")
        text = mock.chosen(chosen.response_templates) if chosen is not None else None
        body = None if text is None else text.encode()
        # 204 and 304 have no body, so no reply either.
        reply = Message(body) if body is not None and status not in (204, 304) else None
        answer = EndpointResponse(status, JSON, body, False, reply)

        def call(invocation: Invocation) -> EndpointResponse:
            return answer

        return call


def _fails(reason: str) -> Call:
    def call(invocation: Invocation) -> EndpointResponse:
        raise ApiConfigurationError(reason)

    return call
