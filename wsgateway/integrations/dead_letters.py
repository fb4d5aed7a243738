"""Dead letters: messages whose integration failed in the end, each a log line by which somebody can see to it."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from wsgateway.errors import ClientFault, GatewayError
from wsgateway.integrations.retries import Tries, failure_of

if TYPE_CHECKING:
    from asyncio import Future
    from collections import Counter

    from wsgateway.integrations.base import Attempt
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse


class Log(Protocol):
    """Where facts are told; one call a fact."""

    def __call__(self, event: str, **facts: object) -> None: ...


class DeadLetters:
    """An Attempt that writes down the messages of failed ones.

    `counts` is by apiId and route key; `integration` is where that is written; `payload` says that messages are to
    stand in their lines.
    """

    def __init__(
        self, attempt: Attempt, *, counts: Counter[tuple[str, str]], log: Log, integration: str, payload: bool
    ) -> None:
        self._attempt = attempt
        self._counts = counts
        self._log = log
        self._integration = integration
        self._payload = payload

    def __call__(self, invocation: Invocation, *arguments: Any) -> Future[EndpointResponse]:
        try:
            answer = self._attempt(invocation, *arguments)
        except Exception as error:
            self._failed(invocation, error, 1)
            raise
        answer.add_done_callback(partial(self._landed, invocation))
        return answer

    def _landed(self, invocation: Invocation, answer: Future[EndpointResponse]) -> None:
        attempts = answer.made if isinstance(answer, Tries) else 1
        if answer.cancelled():
            self._write(invocation, "the gateway is closing", attempts)
        elif (error := answer.exception()) is not None:
            self._failed(invocation, error, attempts)
        elif cause := _cause(answer.result()):
            self._write(invocation, cause, attempts)

    def _failed(self, invocation: Invocation, error: BaseException, attempts: int) -> None:
        """A fault of the client's is none of the integration's."""
        if isinstance(error, ClientFault):
            return
        known = isinstance(error, GatewayError)
        self._write(invocation, str(error) if known else f"unexpected {type(error).__name__}", attempts)

    def _write(self, invocation: Invocation, cause: str, attempts: int) -> None:
        client, message = invocation.client, invocation.message
        assert message is not None  # MESSAGE events have one
        self._counts[client.api_id, invocation.route_key] += 1
        payload: dict[str, object] = {}
        if self._payload and message.binary:
            payload = {"payload_base64": b64encode(message.data).decode()}
        elif self._payload:
            payload = {"payload": message.data.decode()}
        self._log(
            "message dead letter",
            cause=cause,
            attempts=attempts,
            api=client.api_id,
            stage=client.stage,
            route=invocation.route_key,
            integration=self._integration,
            connection_id=client.connection_id,
            request_id=invocation.request_id,
            request_time_epoch=invocation.epoch,
            source_ip=client.source_ip,
            bytes=len(message.data),
            **payload,
        )


def _cause(answer: EndpointResponse) -> str:
    """Why an answer is that of an integration that failed; "" where it isn't."""
    failure = failure_of(answer)
    if isinstance(failure, str):
        return f"the backend failed: {failure}"
    return f"the backend answered {answer.status}" if failure == 429 or failure >= 500 else ""
