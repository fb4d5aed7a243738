"""Definitions: what a gateway serves, as read from `routes.yaml`."""

from wsgateway.model.definitions import Definitions
from wsgateway.model.domain import ApiMapping, Domain, domain_of
from wsgateway.model.function import Function
from wsgateway.model.integration import Integration, IntegrationResponse
from wsgateway.model.loader import Loaded, Source, load, parse
from wsgateway.model.quotas import Limits, Profile, Quotas, resolve
from wsgateway.model.schema import json_schema
from wsgateway.model.stage import Stage
from wsgateway.model.uri import uri_fault
from wsgateway.model.websocket import Route, RouteResponse, WebSocketApi

__all__ = [
    "ApiMapping",
    "Definitions",
    "Domain",
    "Function",
    "Integration",
    "IntegrationResponse",
    "Limits",
    "Loaded",
    "Profile",
    "Quotas",
    "Route",
    "RouteResponse",
    "Source",
    "Stage",
    "WebSocketApi",
    "domain_of",
    "json_schema",
    "load",
    "parse",
    "resolve",
    "uri_fault",
]
