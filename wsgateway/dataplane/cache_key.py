"""What tells requests apart whose answers are kept: `cacheNamespace`, the verb, and `cacheKeyParameters`.

API Gateway developer guide, "Cache settings for REST APIs": what is not among the parameters does not tell them apart.
Stricter than that: requests of different verbs never share an answer, nor do those whose clients accept different media
types or codings where the answer depends on it; of a parameter all values count, and of a header's name the case does
not, since backends read it so.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from wsgateway.integrations.mapping.media import accepted
from wsgateway.templates.parameters import METHOD_REQUEST, compile_source, parse_source

if TYPE_CHECKING:
    from wsgateway.method_request import MethodRequest
    from wsgateway.model.rest import RestApi
    from wsgateway.model.rest_integration import RestIntegration

DIGEST_BYTES = 16

KeyOf = Callable[["MethodRequest"], bytes]
_Read = Callable[["MethodRequest"], object]
_encode = msgspec.msgpack.Encoder().encode


def key_of(api: RestApi, path: str, integration: RestIntegration, secret: bytes = b"") -> KeyOf:
    """Gives a request's digest: requests with the same get the same answer. `secret` keeps others from making it.

    It *raises* what mapping a parameter of the integration raises.
    """
    namespace = integration.cache_namespace or path
    reads = [(name, _reader(name, integration)) for name in sorted(set(integration.cache_key_parameters))]
    if _by_accept(api, integration):
        reads.append(("accept", accepted))
    if integration.type in ("AWS_PROXY", "HTTP_PROXY"):
        reads.append(("codings", _codings))

    def key(request: MethodRequest) -> bytes:
        values = [(name, read(request)) for name, read in reads]
        asked = _encode((namespace, request.http_method, values))
        return blake2b(asked, digest_size=DIGEST_BYTES, key=secret).digest()

    return key


def _reader(parameter: str, integration: RestIntegration) -> _Read:
    side, _, place, name = parameter.split(".", 3)
    if side == "integration":
        return compile_source(parse_source(integration.request_parameters[parameter], METHOD_REQUEST))
    match place:
        case "path":
            return lambda request: request.path_parameters.get(name)
        case "querystring":
            return lambda request: request.querystring(name)
        case _:
            wanted = name.lower().encode()
            return lambda request: _values(request, wanted)


def _codings(request: MethodRequest) -> bytes:
    """What backends may compress their answers by, who are told of it."""
    return b",".join(_values(request, b"accept-encoding")).replace(b" ", b"").lower()


def _values(request: MethodRequest, name: bytes) -> list[bytes]:
    values = request.values(name)
    if name == b"authorization" and "accessKey" in request.client.identity:
        values.append(request.client.identity["accessKey"].encode())  # a signature is taken off, and no two are alike
    return values


def _by_accept(api: RestApi, integration: RestIntegration) -> bool:
    """Whether what a client accepts has a part in its answer: it picks templates, and tells bytes from text."""
    responses = integration.integration_responses.values()
    return bool(api.binary_media_types) or any(len(each.response_templates) > 1 for each in responses)
