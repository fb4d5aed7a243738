"""The reference page of `routes.yaml`, made of its JSON Schema: every key, what it means and what it may hold."""

from __future__ import annotations

from typing import Any

from wsgateway.model.schema import json_schema

TITLES = {
    "Definitions": "The file",
    "WebSocketApi": "A WebSocket API",
    "Limits": "Limits",
    "Compression": "Compression",
    "Stage": "A stage",
    "RouteSettings": "Route settings",
    "Route": "A route",
    "RouteResponse": "A route response",
    "Parameter": "A parameter",
    "Integration": "An integration",
    "TlsConfig": "An HTTPS backend",
    "PublishConfig": "A broker",
    "VpcLink": "A VPC link",
    "Retry": "Retries",
    "CircuitBreaker": "A circuit breaker",
    "DeadLetter": "Dead letters",
    "IntegrationResponse": "An integration response",
    "Model": "A model",
    "RestApi": "A REST API",
    "RestStage": "A stage of a REST API",
    "MethodSettings": "Settings of methods",
    "RestAuthorizer": "An authorizer of a REST API",
    "Method": "A method",
    "MethodResponse": "A method response",
    "RequestValidator": "A request validator",
    "RestIntegration": "An integration of a REST API",
    "RestIntegrationResponse": "An integration response of a REST API",
    "GatewayResponse": "A gateway response",
    "Function": "A function",
    "Role": "A role",
    "Domain": "A domain",
    "ApiMapping": "An API mapping",
    "ApiKey": "An API key",
    "UsagePlan": "A usage plan",
    "PlanStage": "A stage in a usage plan",
    "Quota": "A quota",
}
"""Headings in reading order; an object that is missing here comes last, under its own name."""


def reference() -> str:
    """Markdown, one table an object."""
    schema = json_schema()
    parts = {"Definitions": schema, **schema["$defs"]}
    names = [name for name in TITLES if name in parts]
    names += [name for name in parts if name not in TITLES and parts[name].get("properties")]
    return "\n".join(_section(TITLES.get(name, name), parts[name]) for name in names if parts[name].get("properties"))


def _section(title: str, part: dict[str, Any]) -> str:
    required = part.get("required", ())
    rows = []
    for key, value in part["properties"].items():
        name = f"`{key}` (required)" if key in required else f"`{key}`"
        rows.append(f"| {name} | {_kind(value)} | {_cell(value.get('description', ''))} |")
    about = part.get("description", "")
    return "\n".join([f"### {title}", "", about, "", "| key | holds | meaning |", "| --- | --- | --- |", *rows, ""])


def _kind(value: dict[str, Any]) -> str:
    """What a value may be, in few words."""
    if "anyOf" in value:
        kinds = [_kind(branch) for branch in value["anyOf"] if branch.get("$ref") != "#/$defs/FromEnvironment"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        title = TITLES.get(name, name)
        return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    if "const" in value:
        return f"`{_wire(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{_wire(item)}`" for item in value["enum"])
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"names to {_kind(value['additionalProperties'])}"
    if value.get("type") == "array":
        return f"a list of {_kind(value['items'])}"
    low, high = value.get("minimum", value.get("exclusiveMinimum")), value.get("maximum")
    kind = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true, false"}
    name = kind.get(str(value.get("type")), str(value.get("type")))
    if low is not None and high is not None:
        above = "above " if "exclusiveMinimum" in value else ""
        return f"{name}, {above}{low:,.0f} to {high:,.0f}"
    return name


def _wire(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
