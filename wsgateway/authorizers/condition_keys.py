"""Condition keys: what a policy may ask of a request, in conditions and as variables.

IAM user guide, "AWS global condition context keys"; API Gateway developer guide, "AWS condition keys that can be used
in API Gateway resource policies".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from wsgateway.authorizers.wildcards import any_of

OF_REQUESTS = (
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:SourceArn",
    "aws:SourceIp",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:UserAgent",
    "aws:ViaAWSService",
    "aws:VpcSourceIp",
)
"""Those of all requests. `aws:Referer` and `aws:UserAgent` are there where their headers are; of what came by a VPC
endpoint `aws:SourceVpce`, `aws:SourceVpc` and `aws:VpcSourceIp` are, in place of `aws:SourceIp`; `aws:SourceArn` never
is, for no service of AWS calls on behalf of a resource."""

OF_PRINCIPALS = (
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalTag/*",
    "aws:PrincipalType",
    "aws:userid",
    "aws:username",
)
"""Those that whoever signs has besides; `aws:username` is a user's alone, organization and tags are there where they
are known."""

OF_SESSIONS = (
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:TokenIssueTime",
)
"""Those that a session has where what is known of it says so; keys that last have none of them, as on AWS."""

OF_SIGNED = (*OF_PRINCIPALS, *OF_REQUESTS, *OF_SESSIONS)
"""All that a signed request may have."""

MANY_VALUED = frozenset({"aws:principalorgpaths"})
"""Those that have a list of values."""

Keys = Mapping[str, Sequence[str]]
"""Condition keys in lower case, each with its values."""

_KEY = re.compile(r"[A-Za-z0-9-]+:[^\s,{}'\"][^,{}'\"\x00-\x1f]{0,255}")


def checked(key: object, known: Collection[str] | None) -> str:
    """The key in lower case. *Raises* ValueError unless it is one, of the `known` where those are given.

    No request would ever have another: a Deny that asks for it would deny nothing.
    """
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise ValueError("is no condition key, such as aws:SourceIp")
    lower = key.lower()
    if known is not None and not any_of([name.lower() for name in known])(lower):
        raise ValueError(f"is no key that requests have here; they have {', '.join(known)}")
    return lower
