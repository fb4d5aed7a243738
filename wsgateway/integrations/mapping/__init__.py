"""What non-proxy integrations have in common: an event mapped to a request, an answer mapped to what goes back."""

from wsgateway.integrations.mapping.future import Mapped, Use, then
from wsgateway.integrations.mapping.request import MappedRequest, RequestMapping, check_request, compile_request
from wsgateway.integrations.mapping.response import ResponseMapping, check_responses, compile_responses

__all__ = [
    "Mapped",
    "MappedRequest",
    "RequestMapping",
    "ResponseMapping",
    "Use",
    "check_request",
    "check_responses",
    "compile_request",
    "compile_responses",
    "then",
]
