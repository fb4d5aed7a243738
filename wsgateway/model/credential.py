"""`credentials`: the keys that requests to us are signed with, and what each lets its owner do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.secret import Secret

PRINCIPAL = r"arn:[a-z0-9-]+:(?:iam|sts)::[0-9]{12}:[!-~]{1,512}"
"""The ARN of a user, a role or a session."""

PrincipalArn = Annotated[
    str,
    Matches(
        PRINCIPAL,
        "write the ARN of a user or a role, such as arn:aws:iam::123456789012:user/backend",
    ),
]


TagKey = Annotated[
    str, Matches(r"[A-Za-z0-9 _.:/=+@-]{1,128}", "a tag's key is 1 to 128 letters, digits, blanks and _.:/=+@-")
]
OrgId = Annotated[str, Matches(r"o-[a-z0-9]{10,32}", "an organization's id is as o-a1b2c3d4e5")]
OrgPath = Annotated[
    str, Matches(r"o-[a-z0-9]{10,32}/r-[a-z0-9-/]{4,512}/", "a path is as o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/")
]


class Credential(Definition):
    """A key that signs requests to the gateway, by Signature Version 4. (Ours; on AWS IAM has them.)"""

    access_key_id: Annotated[str, Matches(r"[A-Za-z0-9]{16,128}", "an access key's id is 16 to 128 letters and digits")]
    """The id of the key, as its owner's AWS_ACCESS_KEY_ID has it."""
    secret_access_key: Secret
    """Its secret: `file:PATH`, or a variable of the environment as `${NAME}`."""
    principal_arn: PrincipalArn
    """Who signs with it: the ARN that policies, messages and logs know its owner by."""
    policy: Mapping[str, Any]
    """What its owner may do: an IAM policy, such as one that allows execute-api:ManageConnections on an API's ARN."""
    user_id: Annotated[str, Matches(r"[!-~]{1,256}", "an id is 1 to 256 visible characters of ASCII")] | None = None
    """The owner's unique id, `$context.identity.user` and aws:userid; what their ARN calls them."""
    tags: Mapping[TagKey, Annotated[str, MaxLen(256)]] = Field(default_factory=dict)
    """The owner's tags: aws:PrincipalTag/NAME in policies, principalTags in rules."""
    principal_org_id: OrgId | None = None
    """The organization that the owner's account is in: aws:PrincipalOrgID, `$context.identity.principalOrgId`."""
    principal_org_paths: list[OrgPath] = Field(default_factory=list)
    """Where in the organization it is: aws:PrincipalOrgPaths."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the key is for."""

    def check(self) -> Iterator[Problem]:
        known: dict[str, str] = {}
        for tag in self.tags:
            other = known.setdefault(tag.lower(), tag)
            if other != tag:
                yield Problem(
                    ("tags", tag), f"is {other} to IAM, where the case of a tag's key means nothing; remove one"
                )
