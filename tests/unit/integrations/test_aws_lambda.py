"""What a local function's failures are: some may go well another time."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Any, cast

import pytest

from tests.unit.dataplane.values import disconnecting, quotas
from wsgateway.aws import ServiceEndpoints
from wsgateway.errors import GatewayError, IntegrationTimeout
from wsgateway.functions import Functions
from wsgateway.functions.base import FunctionNotFound, FunctionResult, PayloadTooLarge, TooManyInvocations
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.base import Site
from wsgateway.integrations.resilience import Resilience
from wsgateway.invocation import EventType
from wsgateway.model.integration import Integration
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import aws_access

pytestmark = pytest.mark.anyio


class Ended:
    """Functions of which each invocation ends in this."""

    def __init__(self, outcome: FunctionResult | Exception, at_once: bool) -> None:
        self.outcome = outcome
        self.at_once = at_once

    def invoke(self, *arguments: Any, **more: Any) -> Future[FunctionResult]:
        if isinstance(self.outcome, Exception) and self.at_once:
            raise self.outcome
        future: Future[FunctionResult] = asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, Exception):
            future.set_exception(self.outcome)
        else:
            future.set_result(self.outcome)
        return future


def _no_log(event: str, **facts: object) -> None:
    """What is logged matters elsewhere."""


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("outcome", "transient", "failure"),
    [
        pytest.param(TooManyInvocations("8 invocations wait"), True, 429, id="throttled"),
        pytest.param(IntegrationTimeout("did not answer in time"), True, "timeout", id="timeout"),
        pytest.param(FunctionNotFound("arn"), False, 404, id="no such function"),
        pytest.param(PayloadTooLarge(), False, 413, id="too large"),
        pytest.param(FunctionResult(b'{"errorMessage": "no"}', True), False, "function-error", id="FunctionError"),
    ],
)
async def test_how_it_failed_and_whether_it_may_go_well_another_time(
    outcome: FunctionResult | Exception, transient: bool, failure: str | int, at_once: bool
) -> None:
    functions = cast("Functions", Ended(outcome, at_once))
    upstream = Upstream(egress=Egress())
    access = aws_access(upstream, ServiceEndpoints({}, "eu-central-1"), _no_log, {})
    proxy = AwsProxy(functions, access, Resilience(asyncio.get_running_loop(), _no_log))
    integration = Integration.model_validate({"integrationType": "AWS_PROXY", "integrationUri": "function:ended"})
    site = Site(
        api_id="chat",
        definition=("integrations", "ended"),
        route_key="$disconnect",
        event_type=EventType.DISCONNECT,
        stage_variables={},
        quotas=quotas(),
        two_way=False,
        functions=frozenset({"ended"}),
    )
    call = proxy.compile(integration, site)

    with pytest.raises(GatewayError) as caught:
        await cast("Future[Any]", call(disconnecting()))

    assert caught.value.transient is transient
    assert caught.value.failure == failure
    await upstream.aclose()
