"""`roles`: where the keys are found that stand for a role an integration names by `credentialsArn`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.explain import fault
from wsgateway.model.file import PREFIX, File

_ARN = r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[!-~]{1,512}"

RoleArn = Annotated[str, Matches(_ARN, "write a role's ARN, such as arn:aws:iam::123456789012:role/chat")]

_role = re.compile(_ARN).fullmatch


class _Unseen:
    """On a File: what is written in its place may be the secret itself, so it is not repeated."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: object) -> object:
            if isinstance(value, str) and not value.startswith(PREFIX):
                raise fault("write file: and the path of a file that holds it")
            return value

        return no_info_before_validator_function(check, handler(source))


SecretFile = Annotated[File, _Unseen()]

_SOURCES = ("profile", "environmentPrefix", "accessKeyId")


def is_role(arn: str) -> bool:
    """Whether `arn` is a role's."""
    return _role(arn) is not None


class Role(Definition):
    """Which keys sign the calls of integrations with this `credentialsArn`. (Ours.)

    Keys of a profile, of the environment or written here; with `assumeRole` what STS gives for them, or for the
    process's own. A role that is not listed has the process's own keys.
    """

    profile: Annotated[str, Matches(r"[^\x00-\x1f]{1,256}", "a profile's name")] | None = None
    """A profile of AWS's shared files, with all it may say: roles, SSO, credential_process."""
    environment_prefix: (
        Annotated[str, Matches(r"[A-Z][A-Z0-9_]{0,63}", "capitals, digits and _, beginning with a capital")] | None
    ) = None
    """Keys of the environment: ORDERS_ reads ORDERS_AWS_ACCESS_KEY_ID, …_SECRET_ACCESS_KEY and …_SESSION_TOKEN."""
    access_key_id: Annotated[str, Matches(r"[A-Za-z0-9_]{1,128}", "an access key's id, such as AKIA…")] | None = None
    """The id of an access key; it needs secretAccessKey."""
    secret_access_key: SecretFile | None = None
    """The secret of accessKeyId: `file:PATH` of a file with nothing else in it."""
    session_token: SecretFile | None = None
    """The token of keys that last for a while: `file:PATH`."""
    assume_role: bool = False
    """true calls STS AssumeRole for this role, with the keys named here or the process's own; false."""
    role_session_name: Annotated[str, Matches(r"[A-Za-z0-9_+=,.@-]{2,64}", "2 to 64 letters, digits and _+=,.@-")] = (
        "wsgateway"
    )
    """The name of the session that is assumed, as CloudTrail shows it; wsgateway."""
    external_id: Annotated[str, Matches(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", "2 to 1224 of STS's characters")] | None = None
    """The external id the role's trust policy asks for."""
    duration_seconds: Annotated[int, Ge(900), Le(43200)] = 3600
    """How long a session lasts before it is renewed; 3600."""

    def check(self) -> Iterator[Problem]:
        given = [name for name in _SOURCES if name in self._given()]
        if len(given) > 1:
            yield Problem((given[1],), f"says where the keys are, and so does {given[0]}; keep one of them")
        if not given and not self.assume_role:
            yield Problem(
                (), "says where no keys are: write profile, environmentPrefix, accessKeyId or assumeRole: true"
            )
        if self.access_key_id is not None and self.secret_access_key is None:
            yield Problem(("secretAccessKey",), "is required by accessKeyId: file: and the path of the secret")
        for name in ("secretAccessKey", "sessionToken"):
            if name in self._given() and self.access_key_id is None:
                yield Problem((name,), "has no effect without accessKeyId")
        if not self.assume_role:
            for name in ("roleSessionName", "externalId", "durationSeconds"):
                if name in self._given():
                    yield Problem((name,), "has no effect without assumeRole: true")

    def _given(self) -> set[str]:
        """The keys that were written, by wire name."""
        fields = type(self).model_fields
        return {fields[name].alias or name for name in self.model_fields_set}
