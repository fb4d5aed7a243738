"""What a local function's failures are: some may go well another time."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import Any, cast

import pytest

from tests.unit.dataplane.values import disconnecting, quotas
from wsgateway.app import aws_access
from wsgateway.aws import ServiceEndpoints
from wsgateway.errors import GatewayError, IntegrationTimeout
from wsgateway.functions import Functions
from wsgateway.functions.base import FunctionNotFound, FunctionResult, PayloadTooLarge, TooManyInvocations
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.base import Site
from wsgateway.invocation import EventType
from wsgateway.model.integration import Integration
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream

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


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("outcome", "transient"),
    [
        pytest.param(TooManyInvocations("8 invocations wait"), True, id="throttled"),
        pytest.param(IntegrationTimeout("did not answer in time"), True, id="timeout"),
        pytest.param(FunctionNotFound("arn"), False, id="no such function"),
        pytest.param(PayloadTooLarge(), False, id="too large"),
        pytest.param(FunctionResult(b'{"errorMessage": "no"}', True), False, id="FunctionError"),
    ],
)
async def test_whether_a_failure_may_go_well_another_time(
    outcome: FunctionResult | Exception, transient: bool, at_once: bool
) -> None:
    functions = cast("Functions", Ended(outcome, at_once))
    upstream = Upstream(egress=Egress())
    proxy = AwsProxy(functions, aws_access(upstream, ServiceEndpoints({}, "eu-central-1"), lambda *a, **k: None, {}))
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
    await upstream.aclose()
