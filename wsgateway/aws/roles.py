"""Who signs a call: the process, or what a role that an integration names stands for.

IAM user guide, "Using IAM roles"; STS API reference, AssumeRole. A role's keys are found and renewed as the process's
own are, by a thread each, so that no message waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsgateway.aws.credentials import Credentials, Find, Source

if TYPE_CHECKING:
    from wsgateway.aws.credentials import Log
    from wsgateway.aws.endpoints import ServiceEndpoints
    from wsgateway.model.role import Role

NO_REGION = "us-east-1"
"""Where STS is asked if no region is known; roles are the same in all regions of a partition."""

Key = tuple[str, "Role"]


class CredentialSets:
    """The process's own credentials, and those of roles; one for each definition of a role.

    Made inside the event loop.
    """

    def __init__(self, own: Credentials, log: Log, endpoints: ServiceEndpoints, environ: Mapping[str, str]) -> None:
        self.own = own
        self._log = log
        self._endpoints = endpoints
        self._environ = environ
        self._roles: dict[Key, Credentials] = {}

    def of(self, arn: str | None, roles: Mapping[str, Role]) -> Credentials:
        """Who signs for a `credentialsArn`. A role that `roles` doesn't list is the process."""
        role = None if arn is None else roles.get(arn)
        if arn is None or role is None:
            return self.own
        known = self._roles.get((arn, role))
        if known is None:
            find = finder(arn, role, self._environ, self._region)
            known = self._roles[arn, role] = Credentials(self._log, find, arn)
        return known

    def keep_only(self, used: Iterable[Credentials]) -> None:
        """Let go of the roles that nobody signs for any more."""
        kept = set(used)
        for key in [key for key, credentials in self._roles.items() if credentials not in kept]:
            self._roles.pop(key).close()

    def look_again(self) -> None:
        """Look for all of them anew."""
        for credentials in self._all():
            credentials.look_again()

    @property
    def wanted(self) -> list[Credentials]:
        """Those that somebody asked for."""
        return [credentials for credentials in self._all() if credentials.wanted]

    def close(self) -> None:
        """Look no more."""
        for credentials in self._all():
            credentials.close()

    def _all(self) -> list[Credentials]:
        return [self.own, *self._roles.values()]

    def _region(self) -> str:
        return self._endpoints.region or NO_REGION


def finder(arn: str, role: Role, environ: Mapping[str, str], region: Callable[[], str]) -> Find:
    """What finds a role's keys; it runs in a thread, and raises what it likes."""
    if not role.assume_role:
        return partial(_given, role, environ)
    return partial(_assumed, arn, role, environ, region)


def _given(role: Role, environ: Mapping[str, str]) -> Source | None:
    """The keys a definition names; None where there are none. *Raises* LookupError, OSError, botocore's errors."""
    from botocore.credentials import Credentials as Fixed
    from botocore.session import Session

    found: Source | None
    if role.access_key_id is not None:
        assert role.secret_access_key is not None  # the model requires both
        token = None if role.session_token is None else _text(role.session_token.path)
        found = Fixed(role.access_key_id, _text(role.secret_access_key.path), token)
    elif role.environment_prefix is not None:
        prefix = role.environment_prefix
        key, secret = (_variable(environ, f"{prefix}AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        found = Fixed(key, secret, environ.get(f"{prefix}AWS_SESSION_TOKEN") or None)
    else:
        found = Session(profile=role.profile).get_credentials()
    return found


def _assumed(arn: str, role: Role, environ: Mapping[str, str], region: Callable[[], str]) -> Source | None:
    """A session of the role, renewed by botocore."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import Session

    source: Any = _given(role, environ)
    if source is None:
        return None
    extra: dict[str, object] = {"RoleSessionName": role.role_session_name, "DurationSeconds": role.duration_seconds}
    if role.external_id is not None:
        extra["ExternalId"] = role.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(Session(profile=role.profile).create_client, region_name=region()),
        source_credentials=source,
        role_arn=arn,
        extra_args=extra,
    )
    session: Source = DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")
    return session


def _text(path: Path) -> str:
    return path.read_text("ascii").strip()


def _variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise LookupError(f"the environment has no {name}")
    return value
