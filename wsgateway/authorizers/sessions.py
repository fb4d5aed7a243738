"""Sessions: temporary keys with a token, known to somebody else, who is asked about each of them once.

IAM user guide, "Temporary security credentials in IAM" and "Using temporary credentials with AWS resources"; Amazon
Cognito developer guide, "Identity pools" (whose keys these may be). What is asked, and the answer, are ours.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import Task
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

from wsgateway.authorizers import principal
from wsgateway.authorizers.condition_keys import OF_SIGNED
from wsgateway.authorizers.policy import compile_policy
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.signed import Signer
from wsgateway.authorizers.sigv4 import Claim
from wsgateway.errors import AuthorizerFailure, ServiceUnavailable, UnrecognizedClient
from wsgateway.model.credential import PRINCIPAL
from wsgateway.model.session_lookup import SessionLookup
from wsgateway.trace import Mark

MAX_KNOWN = 10_000
"""Sessions kept, and as many tokens that belong to none; beyond, those not used for longest are asked about again."""
UNKNOWN_SECONDS = 5.0
"""For so long a token that belongs to no session is not asked about again."""
MAX_RUNNING = 100
"""Questions at a time; beyond, clients are told to come back."""

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Time = float | Annotated[datetime, msgspec.Meta(tz=True)]


class Log(Protocol):
    """Where facts are told; one call a fact."""

    def __call__(self, event: str, **facts: object) -> None: ...


Ask = Callable[[str, str, bytes, Mark | None], Awaitable[tuple[int, bytes]]]
"""Status and body that a URL answers to a POST of JSON, given what is sent as Authorization, if anything, and the trace
it is asked in, if anybody follows one. Bounded in time and size. *Raises* OSError or ValueError, in words that hold
nothing of a secret, where there is no answer."""


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a look-up answers. Times are ISO 8601 texts or seconds since 1970; what it says besides is passed over."""

    secret_access_key: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    principal_arn: Annotated[str, msgspec.Meta(pattern=rf"\A{PRINCIPAL}\Z")]
    policy: dict[str, Any]
    expiration: _Time
    user_id: _Short | None = None
    principal_org_id: _Short | None = None
    principal_org_paths: Annotated[list[_Short], msgspec.Meta(max_length=50)] = []
    issued_at: _Time | None = None
    multi_factor_auth_age: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Seconds since the session's owner proved who they are by a second factor."""
    tags: Annotated[dict[_Short, Annotated[str, msgspec.Meta(max_length=256)]], msgspec.Meta(max_length=50)] = {}
    cognito_identity_id: _Short | None = None
    cognito_identity_pool_id: _Short | None = None
    cognito_authentication_type: _Short | None = None
    cognito_authentication_provider: _Short | None = None


_decoder = msgspec.json.Decoder(Session)


class _Kept(NamedTuple):
    """What a look-up said, at one Unix time, and until when that is believed; None: there is no such session."""

    signer: Signer | None
    since: float
    until: float


class KnownSessions:
    """Whose sessions there are, as one look-up says. Its `find` is a `signed.Sessions`."""

    def __init__(self, definition: SessionLookup, ask: Ask, log: Log, results: Counter[str]) -> None:
        self.definition = definition
        self._results = results
        self._authorization = "" if definition.authorization is None else definition.authorization.text
        self._ask = ask
        self._log = log
        self._known: OrderedDict[bytes, _Kept] = OrderedDict()
        self._unknown: OrderedDict[bytes, _Kept] = OrderedDict()
        self._running: dict[bytes, Task[Signer | None]] = {}
        self._fault = ""

    def find(self, claim: Claim, now: float, mark: Mark | None = None) -> Signer | Awaitable[Signer]:
        """Whose session it is. *Raises* as `signed.Sessions` says."""
        # Lengths are in it by the separator, which no access key has; the token itself is nowhere kept.
        key = sha256(f"{claim.access_key}\0{claim.token}".encode("utf-8", "surrogateescape")).digest()
        for kept in (self._known, self._unknown):
            found = kept.get(key)
            # Where the clock was set back nobody knows how long ago that was.
            if found is not None and found.since <= now < found.until:
                kept.move_to_end(key)
                return _someone(found.signer, claim)
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= MAX_RUNNING:
                raise ServiceUnavailable(f"{MAX_RUNNING} sessions are being looked up")
            running = self._running[key] = asyncio.create_task(self._looked_up(key, claim, now, mark))
            running.add_done_callback(partial(self._ended, key))
        return self._wait(running, claim)

    def close(self) -> None:
        """End what is under way; who waits for it is told that it failed."""
        for running in self._running.values():
            running.cancel()

    async def _wait(self, running: Task[Signer | None], claim: Claim) -> Signer:
        await asyncio.wait([running])  # whoever leaves ends it for nobody else
        if running.cancelled():
            raise AuthorizerFailure("sessions are looked up elsewhere now")
        return _someone(running.result(), claim)

    def _ended(self, key: bytes, running: Task[Signer | None]) -> None:
        del self._running[key]
        if not running.cancelled():
            running.exception()  # whoever asked has it; where all have left it is nobody's

    async def _looked_up(self, key: bytes, claim: Claim, now: float, mark: Mark | None) -> Signer | None:
        """Ask, and keep the answer."""
        question = {"accessKeyId": claim.access_key, "sessionToken": claim.token}
        try:
            asked = json.dumps(question).encode()
            status, body = await self._ask(self.definition.url, self._authorization, asked, mark)
            if status not in (200, 404):
                raise ValueError(f"it answered {status}")
            signer = None if status == 404 else read_session(claim.access_key, body)
        except (OSError, ValueError) as error:
            self._failed(str(error))
            raise AuthorizerFailure(f"the session can't be looked up: {error}") from error
        if self._fault:
            self._log("sessions are looked up again", url=self.definition.url)
        self._fault = ""
        self._results["unknown" if signer is None else "found"] += 1
        if signer is None:
            _keep(self._unknown, key, _Kept(None, now, now + UNKNOWN_SECONDS))
        else:
            _keep(self._known, key, _Kept(signer, now, self._believed_until(signer, now)))
        return signer

    def _believed_until(self, signer: Signer, now: float) -> float:
        assert signer.expires is not None  # a session ends
        seconds = self.definition.cache_seconds
        # One that is over stays so: nobody need be asked again before the usual time.
        ends = max(signer.expires, now + UNKNOWN_SECONDS)
        return ends if seconds is None else min(ends, now + seconds)

    def _failed(self, fault: str) -> None:
        self._results["failed"] += 1
        if fault != self._fault:
            self._log("sessions can't be looked up", url=self.definition.url, error=fault)
        self._fault = fault


class SessionLookups:
    """Keeps what is known of sessions over a reload that leaves the look-up as it is."""

    def __init__(self, ask: Ask, log: Log) -> None:
        self._ask = ask
        self._log = log
        self._all: list[KnownSessions] = []
        self.results = Counter[str]()
        """Answers so far: `found`, `unknown`, `failed`."""

    def of(self, definition: SessionLookup | None) -> KnownSessions | None:
        """The sessions that a definition's look-up knows; the same as long as the definition stays what it is."""
        if definition is None:
            return None
        for known in self._all:
            if known.definition == definition:
                return known
        self._all.append(KnownSessions(definition, self._ask, self._log, self.results))
        return self._all[-1]

    def keep_only(self, definition: SessionLookup | None) -> None:
        """Let go of what others say than this look-up."""
        kept = [known for known in self._all if known.definition == definition]
        for known in self._all:
            if known not in kept:
                known.close()
        self._all = kept


def read_session(access_key: str, body: bytes) -> Signer:
    """The signer in a look-up's answer. *Raises* ValueError, in words that hold nothing of a secret."""
    try:
        session = _decoder.decode(body)
        policy = compile_policy(session.policy, keys=OF_SIGNED)
    except PolicyError as error:
        raise ValueError(f"the session's policy: {error}") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"the answer is no session: {error}") from error
    arn, user_id, org_id = session.principal_arn, session.user_id, session.principal_org_id
    org_paths, tags = session.principal_org_paths, session.tags
    return Signer(
        access_key,
        session.secret_access_key,
        arn,
        policy,
        principal.of_principal(arn, user_id, org_id=org_id, org_paths=org_paths, tags=tags) | _keys(session),
        principal.identity_of(access_key, arn, user_id, org_id) | _identity(session),
        tags,
        _seconds(session.expiration),
    )


def _keys(session: Session) -> dict[str, Sequence[str]]:
    """The keys of OF_SESSIONS."""
    age, issued = session.multi_factor_auth_age, session.issued_at
    keys: dict[str, Sequence[str]] = {"aws:multifactorauthpresent": ["false" if age is None else "true"]}
    if age is not None:
        keys["aws:multifactorauthage"] = [str(int(age))]
    if issued is not None:
        keys["aws:tokenissuetime"] = [str(int(_seconds(issued)))]
    return keys


def _identity(session: Session) -> dict[str, str]:
    values = {
        "cognitoAuthenticationProvider": session.cognito_authentication_provider,
        "cognitoAuthenticationType": session.cognito_authentication_type,
        "cognitoIdentityId": session.cognito_identity_id,
        "cognitoIdentityPoolId": session.cognito_identity_pool_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _seconds(time: float | datetime) -> float:
    return time.timestamp() if isinstance(time, datetime) else time


def _someone(signer: Signer | None, claim: Claim) -> Signer:
    if signer is None:
        raise UnrecognizedClient(f"no session is known with the access key {claim.access_key} and its session token")
    return signer


def _keep(kept: OrderedDict[bytes, _Kept], key: bytes, found: _Kept) -> None:
    kept[key] = found
    kept.move_to_end(key)
    while len(kept) > MAX_KNOWN:
        kept.popitem(last=False)
