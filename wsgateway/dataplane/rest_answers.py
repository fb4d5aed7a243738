"""What goes back to clients of REST APIs: heads that integrations gave before, and answers that are still to come."""

from __future__ import annotations

from asyncio import Future
from typing import TYPE_CHECKING, Any, Protocol

from wsgateway.errors import ServiceUnavailable
from wsgateway.headers import returned
from wsgateway.http1 import fields
from wsgateway.messages import EndpointResponse, HttpResponse, PromptAnswer
from wsgateway.upstream.exchange import when_over

if TYPE_CHECKING:
    from wsgateway.dataplane.rest_compiled import CompiledMethod, CompiledRestStage
    from wsgateway.messages import Header
    from wsgateway.method_request import MethodRequest

KEPT = 512
KEPT_BYTES = 2048


class Heads:
    """Heads of integrations' answers as clients get them.

    A backend gives the same headers many times: what becomes of them is worked out once. That is told by the headers
    themselves, so nothing has to be forgotten.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[Header, ...], bytes] = {}

    def lines(self, headers: tuple[Header, ...]) -> bytes:
        """The lines of an answer with these headers. *Raises* UnsafeHeader."""
        known = self._known.get(headers)
        return self._learn(headers) if known is None else known

    def _learn(self, headers: tuple[Header, ...]) -> bytes:
        kept = returned(headers)
        if all(name.lower() != b"content-type" for name, _ in kept):
            kept.append((b"Content-Type", b"application/json"))
        lines = fields(kept)
        if len(lines) <= KEPT_BYTES:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[headers] = lines
        return lines


class Later(PromptAnswer):
    """An answer made of an integration's once that is there; whoever cancels it cancels the call.

    Costs a future and a callback, no task. Its attributes are set by whoever makes it, at once.
    """

    __slots__ = ("asked", "invocation", "method", "rest", "stage")

    asked: Future[EndpointResponse]
    rest: Answering
    stage: CompiledRestStage
    method: CompiledMethod
    invocation: MethodRequest

    def begin(self) -> None:
        """Wait for it."""
        self.told = None
        trace = self.invocation.trace
        if trace is not None and trace.wants_answers:  # it hears of the integration's first
            self.asked.add_done_callback(self._landed)
        else:
            when_over(self.asked, self._landed)

    def cancel(self, msg: Any | None = None) -> bool:
        """End because the client has gone."""
        if not super().cancel(msg):
            return False
        self.rest.left(self.stage, self.invocation)
        self.asked.cancel()
        return True

    def _landed(self, asked: Future[EndpointResponse]) -> None:
        self.rest.over(self.invocation)
        if self.done():  # nobody waits any more
            if not asked.cancelled() and asked.exception() is None and (stream := asked.result().stream) is not None:
                stream.close()
            return
        error = ServiceUnavailable("the call was given up") if asked.cancelled() else asked.exception()
        self.tell(self._answered(asked) if error is None else self.rest.failed(self.stage, self.invocation, error))

    def _answered(self, asked: Future[EndpointResponse]) -> HttpResponse:
        try:
            return self.rest.answered(self.stage, self.method, self.invocation, asked.result())
        except Exception as fault:
            return self.rest.failed(self.stage, self.invocation, fault)


class Answering(Protocol):
    """What makes answers of what integrations gave."""

    def answered(
        self, stage: CompiledRestStage, method: CompiledMethod, invocation: MethodRequest, answer: EndpointResponse
    ) -> HttpResponse: ...
    def failed(self, stage: CompiledRestStage, invocation: MethodRequest, error: BaseException) -> HttpResponse: ...
    def left(self, stage: CompiledRestStage, invocation: MethodRequest) -> None: ...
    def over(self, invocation: MethodRequest) -> None:
        """An integration is done, however."""
