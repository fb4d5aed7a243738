"""Events of requests (API Gateway developer guide, "Input format of a Lambda function for proxy integration")."""

from __future__ import annotations

import json

from tests.unit.requests import method_request
from wsgateway.integrations.lambda_rest import request_event


def test_an_api_key_is_in_the_identity_of_who_showed_one_alone() -> None:
    nobody, somebody = method_request(), method_request()
    somebody.client.identity = {"apiKey": "k" * 20, "apiKeyId": "mobile"}

    without, known = (json.loads(request_event(each))["requestContext"]["identity"] for each in (nobody, somebody))

    assert known == without | {"apiKey": "k" * 20, "apiKeyId": "mobile"}
    assert "apiKey" not in without
