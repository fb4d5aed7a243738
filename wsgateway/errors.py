"""Everything the gateway reports on purpose.

GatewayError                        a client sees it, in AWS's words
├── ClientFault                     the caller can fix it
│   ├── BadRequest                  400  BAD_REQUEST_PARAMETERS
│   ├── BadRequestBody              400  BAD_REQUEST_BODY: it does not fit the route's model
│   ├── Unauthorized                401  UNAUTHORIZED: who it is could not be made sure of
│   ├── AccessDenied                403  ACCESS_DENIED: no route, API or stage answers to this
│   │   └── NotAuthorized           403  ACCESS_DENIED: known by their signature, and not allowed to
│   ├── MissingAuthenticationToken  403  MISSING_AUTHENTICATION_TOKEN: the request is not signed
│   ├── UnrecognizedClient          403  INVALID_SIGNATURE: signed with a key nobody here knows
│   ├── InvalidSignature            403  INVALID_SIGNATURE: not what its key gives, for us and lately
│   ├── ExpiredToken                403  EXPIRED_TOKEN: the session it is signed in is over
│   ├── RequestTooLarge             413  REQUEST_TOO_LARGE: a request's body is over its API's limit
│   ├── UnsupportedMediaType        415  UNSUPPORTED_MEDIA_TYPE: no template for it, and it may not be passed on
│   ├── InvalidApiKey               403  INVALID_API_KEY: no API key that is good here
│   └── Throttled                   429  THROTTLED: more than a limit lets in
│       └── QuotaExceeded           429  QUOTA_EXCEEDED: all of it is used until the next period
├── BackendFault                    the integration failed
│   ├── IntegrationFailure          500  unreachable: refused, DNS, TLS, egress policy
│   ├── BadGateway                  502  INTEGRATION_FAILURE: its answer can't be trusted
│   │   └── MalformedResult         502  DEFAULT_5XX: a function failed, or gave no proxy result
│   └── IntegrationTimeout          504  INTEGRATION_TIMEOUT
├── AuthorizerFailure               500  AUTHORIZER_FAILURE: the authorizer could not be asked, or broke
├── AuthorizerConfigurationError    500  AUTHORIZER_CONFIGURATION_ERROR: its answer is not what it has to be
├── ServiceUnavailable              503  a concurrency cap, drain, or doubt
│   └── NoRoom                      503  the node holds as many bytes of bodies as it may
└── ApiConfigurationError           500  API_CONFIGURATION_ERROR: the definition failed at run time

DefinitionError                     an operator sees it, at load or deploy; never a client
StartError                          an operator sees it: the process can't start
└── SettingError                    a flag, or its variable, holds what can't be used
RegistryAway                        the node's own parts see it: what the nodes share can't be read or written now
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

UNSENT = "connect-failure"
"""There was no connection, so that the backend was sent nothing and may be asked again."""


class GatewayError(Exception):
    """A fault a client hears of; `reason` is for operators (and for clients in `wsgateway dev`).

    `message` is AWS's text for it (API Gateway developer guide, "Gateway response types").
    """

    status: ClassVar[int] = 500
    message: ClassVar[str] = "Internal server error"
    response_type: ClassVar[str] = "DEFAULT_5XX"
    transient: bool = False
    """Whether the same call may go well another time."""
    failure: str | int = ""
    """How a backend failed: UNSENT, `reset`, `timeout`, `function-error`, or the status by which it said so; "" where
    it is no backend's doing."""

    def __init__(self, reason: str = "", *, transient: bool | None = None, failure: str | int | None = None) -> None:
        super().__init__(reason or self.message)
        self.reason = reason
        if transient is not None:
            self.transient = transient
        if failure is not None:
            self.failure = failure
        self.detail = self.message
        """What the client is told; AWS's text, for a few kinds with names filled in."""


class ClientFault(GatewayError):
    """The caller can fix it."""

    status = 400
    message = "Bad Request"
    response_type = "DEFAULT_4XX"


class BadRequest(ClientFault):
    """A required parameter is missing."""

    response_type = "BAD_REQUEST_PARAMETERS"


class BadRequestBody(ClientFault):
    """The message does not fit its model."""

    message = "Bad request body"
    response_type = "BAD_REQUEST_BODY"


class Unauthorized(ClientFault):
    """Who the client is could not be made sure of."""

    status = 401
    message = "Unauthorized"
    response_type = "UNAUTHORIZED"

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail or self.message


class AccessDenied(ClientFault):
    """No route, API or stage answers to this."""

    status = 403
    message = "Forbidden"
    response_type = "ACCESS_DENIED"

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail or self.message


class NotAuthorized(AccessDenied):
    """Who has signed the request is known, and their policy does not allow it: the client is told all of it."""

    def __init__(self, detail: str, reason: str = "") -> None:
        super().__init__(f"{detail}: {reason}" if reason else detail, detail=detail)


class MissingAuthenticationToken(ClientFault):
    """The request is not signed."""

    status = 403
    message = "Missing Authentication Token"
    response_type = "MISSING_AUTHENTICATION_TOKEN"


class UnrecognizedClient(ClientFault):
    """The request is signed with a key that no credential has."""

    status = 403
    message = "The security token included in the request is invalid."
    response_type = "INVALID_SIGNATURE"


class InvalidSignature(ClientFault):
    """The request's signature is not the one its key gives, or not for us, or not of these minutes."""

    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details."
    )
    response_type = "INVALID_SIGNATURE"

    def __init__(self, reason: str = "", *, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail or self.message


class ExpiredToken(ClientFault):
    """The session whose keys have signed the request is over."""

    status = 403
    message = "The security token included in the request is expired"
    response_type = "EXPIRED_TOKEN"


class RequestTooLarge(ClientFault):
    """The body of a request is larger than its API takes."""

    status = 413
    message = "Request Too Long"
    response_type = "REQUEST_TOO_LARGE"


class UriTooLong(ClientFault):
    """What is asked for has too long a name for its authorizer."""

    status = 414
    message = "Request URI too long"


class UnsupportedMediaType(ClientFault):
    """No request template applies, and the integration's passthroughBehavior refuses what none applies to."""

    status = 415
    message = "Unsupported Media Type"
    response_type = "UNSUPPORTED_MEDIA_TYPE"


class InvalidApiKey(ClientFault):
    """The client has no API key that is good here."""

    status = 403
    message = "Forbidden"
    response_type = "INVALID_API_KEY"


class Throttled(ClientFault):
    """More than a limit lets in; `level` is the limit's, such as `route`."""

    status = 429
    message = "Too Many Requests"
    response_type = "THROTTLED"

    def __init__(self, reason: str = "", *, level: str = "") -> None:
        super().__init__(reason)
        self.level = level


class QuotaExceeded(Throttled):
    """All that a usage plan lets an API key use is used, until the next period."""

    message = "Limit Exceeded"
    response_type = "QUOTA_EXCEEDED"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason, level="quota")


class BackendFault(GatewayError):
    """The integration failed; another time it may not."""

    response_type = "INTEGRATION_FAILURE"
    transient = True
    failure = "reset"


class IntegrationFailure(BackendFault):
    """The backend can't be reached: refused, unknown host, TLS failure, or denied by the egress policy."""


class BadGateway(BackendFault):
    """The backend answered, but with something that is not one whole HTTP answer within its limits."""

    status = 502


class MalformedResult(BadGateway):
    """The function behind a proxy of a REST API failed, or gave what is no result of one: AWS has no type for it."""

    response_type = "DEFAULT_5XX"


class IntegrationTimeout(BackendFault):
    """No whole answer within the integration's timeout."""

    status = 504
    message = "Endpoint request timed out"
    response_type = "INTEGRATION_TIMEOUT"
    failure = "timeout"


class AuthorizerFailure(GatewayError):
    """The authorizer could not be asked, or broke."""

    response_type = "AUTHORIZER_FAILURE"


class AuthorizerConfigurationError(GatewayError):
    """The authorizer's answer is not what it has to be; AWS says nothing of it to the client."""

    message = ""
    response_type = "AUTHORIZER_CONFIGURATION_ERROR"


class ServiceUnavailable(GatewayError):
    """A cap is reached, the node drains, or the state is in doubt."""

    status = 503
    message = "Service Unavailable"
    transient = True


class NoRoom(ServiceUnavailable):
    """The node holds as many bytes of bodies as it may."""

    transient = False
    again = False
    """Whether nothing was done yet, so that the same may be sent again."""


class ApiConfigurationError(GatewayError):
    """The definition failed at run time."""

    response_type = "API_CONFIGURATION_ERROR"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition: where, and what would be right.

    `path` is the key path from the file's root (`("apis", "chat", "routes")`); `line` counts from 1, 0 when unknown.
    The first line of `text` says all; more of them show the place, and are printed indented below it.
    """

    path: tuple[str | int, ...]
    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        path = ".".join(str(part) for part in self.path)
        text = self.text.replace("\n", "\n    ")
        return f"{where}{path}: {text}" if path else f"{where}{text}"


class DefinitionError(Exception):
    """A definition is invalid; `problems` holds every one found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class StartError(Exception):
    """The process can't start; the text says what, where and how to mend it."""


class SettingError(StartError):
    """A flag, or its variable of the environment, holds what can't be used: wrong usage, like a flag nobody knows."""


def placeless(error: BaseException) -> BaseException:
    """What a future may end in: one of ours without the frames it came through, for futures keep these (CPython 3.11),
    they may know the future, and all of it, messages and bodies, would stay until the collector comes."""
    if isinstance(error, GatewayError):
        error.__traceback__ = None
    return error


def complaint(error: DefinitionError | StartError) -> tuple[str, int]:
    """What an operator is told of it on stderr, and the exit code: 2 for wrong usage or an invalid definition."""
    if isinstance(error, DefinitionError):
        return str(error), 2
    return f"wsgateway: {error}", 2 if isinstance(error, SettingError) else 1


class RegistryAway(Exception):
    """The registry can't be reached in time, refuses, or takes no writes: nothing is known of what it holds."""
