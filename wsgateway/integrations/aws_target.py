"""What an `arn:…:apigateway:…` URI calls: a service, by the name of an action or by a path.

API Gateway REST API reference, PutIntegration, `uri`; developer guide, "Integration types in API Gateway".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

FORMS = (
    "arn:aws:apigateway:REGION:SERVICE:action/NAME, such as dynamodb:action/PutItem, or "
    "arn:aws:apigateway:REGION:SERVICE:path/PATH, such as s3:path/{bucket}/{key}"
)

_parts = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):apigateway:(?P<region>[^:/]*):(?P<host>[^:/]*):(?P<kind>[^/]*)/(?P<rest>.*)"
).fullmatch
_region = re.compile(r"[a-z0-9-]{1,64}").fullmatch
_label = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?").fullmatch
_action = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}").fullmatch
_uri = re.compile(r"[A-Za-z0-9\-._~:/?@!$&'()*+,;=%{}]*").fullmatch
_slot = re.compile(r"\{([A-Za-z0-9._$-]+)\}")
_dots = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE).fullmatch

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A call of a service. `host` is the service's endpoint prefix, perhaps with a subdomain before it.

    An `action` has no path and a path no action. `path` begins with a slash and is percent-encoded as it was written;
    `query` is decoded. In both, `{name}` is a slot that `integration.request.path.name` fills.
    """

    partition: str
    region: str
    host: str
    action: str = ""
    path: str = "/"
    query: Parameters = ()

    @property
    def slots(self) -> list[str]:
        """The names of its slots."""
        return _slot.findall(self.path + "".join([value for _, value in self.query]))


def parse_service(uri: str) -> ServiceTarget:
    """What `uri` calls, its stage variables filled in. *Raises* ValueError, in words."""
    if "${" in uri:
        raise ValueError("holds a ${…} that is no stage variable; only ${stageVariables.NAME} may stand for a value")
    found = _parts(uri)
    if found is None:
        raise ValueError(f"names no service of AWS; write {FORMS}")
    if found["kind"] not in ("action", "path"):
        raise ValueError(f"must contain path or action behind the service; write {FORMS}")
    if _region(found["region"]) is None:
        raise ValueError("names no region behind arn:aws:apigateway:")
    host, rest = found["host"], found["rest"]
    if not host or len(host) > 200 or not all(_label(label) for label in host.split(".")):
        raise ValueError("names no service behind its region; slots have no place there")
    if _uri(rest) is None:
        raise ValueError("a URI holds no spaces, fragments, control characters or letters beyond ASCII; percent-encode")
    if found["kind"] == "action":
        name, _, parameters = rest.replace("?", "&", 1).partition("&")
        if _action(name) is None:
            raise ValueError("names no action behind action/")
        return ServiceTarget(found["partition"], found["region"], host, name, query=_pairs(parameters))
    path, _, query = rest.partition("?")
    path = path if path.startswith("/") else f"/{path}"
    if any(_dots(segment) for segment in path.split("/")):
        raise ValueError("a path holds no . or .. segments")
    return ServiceTarget(found["partition"], found["region"], host, path=path, query=_pairs(query))


def _pairs(text: str) -> Parameters:
    return tuple(parse_qsl(text, keep_blank_values=True))
