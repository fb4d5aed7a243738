"""Who has signed a request, as policies, events and templates know them.

IAM user guide, "AWS global condition context keys"; API Gateway developer guide, "WebSocket API mapping template
reference" (`$context.identity`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from wsgateway.messages import Header


class Request(Protocol):
    """What conditions may ask of a request. `source` is its client's address, `scheme` http or https."""

    @property
    def headers(self) -> tuple[Header, ...]: ...
    @property
    def source(self) -> str: ...
    @property
    def scheme(self) -> str: ...


def of_request(request: Request, now: float, region: str, endpoint: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """The keys of OF_REQUESTS; `now` is Unix time, `region` ours, `endpoint` what `$context.identity` has of the VPC
    endpoint it came by, if any."""
    keys: dict[str, Sequence[str]] = {
        "aws:currenttime": [datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")],
        "aws:epochtime": [str(int(now))],
        "aws:requestedregion": [region],
        "aws:securetransport": ["true" if request.scheme == "https" else "false"],
        "aws:viaawsservice": ["false"],
    }
    if "vpceId" in endpoint:
        keys["aws:sourcevpce"], keys["aws:vpcsourceip"] = [endpoint["vpceId"]], [request.source]
        if "vpcId" in endpoint:
            keys["aws:sourcevpc"] = [endpoint["vpcId"]]
    else:
        keys["aws:sourceip"] = [request.source]
    for name, key in ((b"referer", "aws:referer"), (b"user-agent", "aws:useragent")):
        found = [value.decode("latin-1") for header, value in request.headers if header.lower() == name]
        if len(found) == 1:
            keys[key] = found
    return keys


def account_of(arn: str) -> str:
    """The account in an ARN."""
    return arn.split(":", 5)[4]


def of_principal(
    arn: str,
    user_id: str | None = None,
    *,
    org_id: str | None = None,
    org_paths: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
) -> dict[str, Sequence[str]]:
    """The keys of OF_PRINCIPALS."""
    account, resource = arn.split(":", 5)[4:]
    kind, _, name = resource.partition("/")
    keys: dict[str, Sequence[str]] = {
        "aws:principalaccount": [account],
        "aws:principalarn": [_role_of(arn)],
        "aws:principalisawsservice": ["false"],
        "aws:principaltype": [_TYPES.get(kind, "Account")],
        "aws:userid": [user_id or _id_in(arn)],
    }
    if kind == "user":
        keys["aws:username"] = [name.rpartition("/")[2]]
    if org_id is not None:
        keys["aws:principalorgid"] = [org_id]
    if org_paths:
        keys["aws:principalorgpaths"] = org_paths
    return keys | {f"aws:principaltag/{tag.lower()}": [value] for tag, value in (tags or {}).items()}


def identity_of(access_key: str, arn: str, user_id: str | None = None, org_id: str | None = None) -> dict[str, str]:
    """What `$context.identity` has of them. Without a unique id of IAM's, what the ARN calls them stands for it."""
    caller = user_id or _id_in(arn)
    organization = {} if org_id is None else {"principalOrgId": org_id}
    return organization | {
        "accessKey": access_key,
        "accountId": arn.split(":")[4],
        "caller": caller,
        "user": caller,
        "userArn": arn,
    }


_TYPES = {"assumed-role": "AssumedRole", "federated-user": "FederatedUser", "role": "AssumedRole", "user": "User"}


def _id_in(arn: str) -> str:
    """`ann` of a user, `ROLE:SESSION` of a role's session, the account where it is that itself."""
    account, resource = arn.split(":", 5)[4:]
    kind, _, name = resource.partition("/")
    if kind == "assumed-role":
        return ":".join(name.rsplit("/", 1))
    return name.rpartition("/")[2] or account


def _role_of(arn: str) -> str:
    """Policies know a session of a role by the role's own ARN (`aws:PrincipalArn`)."""
    partition, service, _, account, resource = arn.split(":", 5)[1:]
    kind, _, name = resource.partition("/")
    if service != "sts" or kind != "assumed-role":
        return arn
    return f"arn:{partition}:iam::{account}:role/{name.rpartition('/')[0] or name}"
