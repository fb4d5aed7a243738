"""Which function an integration URI names.

API Gateway developer guide, "Set up Lambda proxy integrations"; Lambda API reference, Invoke, FunctionName.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from wsgateway.functions.base import parse_name

FORMS = "function:NAME, the function's ARN, or AWS's long form of it"

_long_form = re.compile(
    r"arn:(?P<partition>[a-z-]+):apigateway:(?P<region>[a-z0-9-]+):lambda:path/"
    r"(?:2015-03-31/functions/(?P<function>.+)/invocations"
    r"|2021-11-15/functions/(?P<streaming>.+)/response-streaming-invocations)"
).fullmatch


def is_function(uri: str) -> bool:
    """Whether a URI is one of a function's, rather than of another service of AWS."""
    return not uri.startswith("arn:") or _long_form(uri) is not None or re.match(r"arn:[^:]*:lambda:", uri) is not None


def other_mode(uri: str, *, streams: bool) -> str:
    """What is wrong with AWS's long form where it names the operation of the other `responseTransferMode`."""
    long_form = _long_form(uri)
    if long_form is None or bool(long_form["streaming"]) == streams:
        return ""
    if streams:
        return "STREAM goes by lambda:path/2021-11-15/functions/{arn}/response-streaming-invocations"
    return "its path is of answers that stream; add responseTransferMode: STREAM to a method's integration"


@dataclass(frozen=True, slots=True)
class Target:
    """A function: by its name where it may be a local one, by `reference` where it is elsewhere.

    `region` and `partition` are empty where the URI has none.
    """

    name: str
    qualifier: str = ""
    reference: str = ""
    """As Lambda takes it in a path: the name, or an ARN without qualifier."""
    region: str = ""
    partition: str = ""

    @property
    def path(self) -> str:
        """Path and query of an Invoke, percent-encoded as SDKs do it."""
        query = f"?Qualifier={quote(self.qualifier, safe='')}" if self.qualifier else ""
        return f"/2015-03-31/functions/{quote(self.reference, safe='')}/invocations{query}"

    @property
    def shown(self) -> str:
        """How an operator knows it."""
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


def parse_target(uri: str) -> Target:
    """The function a URI names, its stage variables filled in. *Raises* ValueError, in words."""
    long_form = _long_form(uri)
    written = uri if long_form is None else long_form["function"] or long_form["streaming"]
    parsed = parse_name(written)
    if parsed is None:
        raise ValueError(f"{uri} names no Lambda function; write {FORMS}")
    name, qualifier = parsed
    reference = written.removesuffix(f":{qualifier}") if qualifier else written
    region = partition = ""
    if long_form is not None:
        region, partition = long_form["region"], long_form["partition"]
    if written.startswith("arn:"):
        _, own_partition, _, own_region, *_ = written.split(":")
        if region and (region, partition) != (own_region, own_partition):
            raise ValueError(
                f"{uri} calls Lambda in {partition} {region}, and the function is in {own_partition} {own_region}; "
                "write the same twice"
            )
        region, partition = own_region, own_partition
    return Target(name, qualifier, reference.removeprefix("function:"), region, partition)
