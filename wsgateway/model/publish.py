"""PUBLISH: the URI of a broker's stream or subject, and how messages are handed to it. (Ours.)"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote

from annotated_types import Ge, MaxLen, MinLen

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition
from wsgateway.model.explain import shown
from wsgateway.model.secret import Secret
from wsgateway.model.uri import VARIABLE, hidden

if TYPE_CHECKING:
    from wsgateway.model.integration import Integration

Mode = Literal["single", "sentinel", "cluster"]
Host = tuple[str, int]

FORMS: Mapping[str, str] = {
    "redis": "redis://HOST[:6379]/DB/STREAM",
    "redis+sentinel": "redis+sentinel://HOST[:26379],…/SERVICE/DB/STREAM",
    "redis+cluster": "redis+cluster://HOST[:6379],…/0/STREAM",
    "nats": "nats://HOST[:4222],…/SUBJECT",
}
"""How a URI is written, by scheme; with TLS the scheme is rediss (rediss+…), or tls for NATS."""

MAX_HOSTS = 100
MAX_SUBJECT = 1024
"""Characters of a subject, its parameters put in. A server ends the connection over a command of 4 KiB."""

_MODES: Mapping[str | None, Mode] = {None: "single", "sentinel": "sentinel", "cluster": "cluster"}

_SCHEME = re.compile(r"(?P<redis>redis(?P<secure>s?)(?:\+(?P<mode>sentinel|cluster))?)|nats|tls")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?")
_SLOT = re.compile(r"\{([A-Za-z0-9._$-]+)\}")


@dataclass(frozen=True, slots=True)
class BrokerUri:
    """What a URI names. `name` is the stream, or the subject with a `{NAME}` wherever a parameter is put in."""

    kind: Literal["redis", "nats"]
    secure: bool
    mode: Mode
    hosts: tuple[Host, ...]
    name: str
    service: str = ""
    """Of Sentinels: the name they know the master by."""
    db: int = 0

    @property
    def slots(self) -> tuple[str, ...]:
        """The parameters of the subject."""
        return tuple(_SLOT.findall(self.name)) if self.kind == "nats" else ()


class PublishConfig(Definition):
    """How PUBLISH hands messages to its broker. (Ours.)"""

    username: Annotated[str, MinLen(1), MaxLen(256)] | None = None
    """The user at the broker; none."""
    password: Secret | None = None
    """That user's password, alone Redis's requirepass or NATS's token: `file:PATH`, or `${NAME}` of the environment."""
    max_length: Annotated[int, Ge(1)] | None = None
    """Redis: about how many of its newest entries the stream keeps (XADD's `MAXLEN ~`); all."""
    acknowledgement: Annotated[Literal["SERVER", "JETSTREAM"], Among(("SERVER", "JETSTREAM"))] = "SERVER"
    """NATS: who has to have the message before the route goes on: SERVER, or the JETSTREAM stream of the subject."""

    def check(self) -> Iterator[Problem]:
        if self.username is not None and self.password is None:
            yield Problem(("password",), "is required beside username: file:PATH, or ${NAME} of the environment")


def parse_broker_uri(uri: str) -> BrokerUri:
    """What `uri` names; its stage variables are put in already.

    Raises ValueError with a sentence that says what is wrong.
    """
    scheme, separator, rest = uri.partition("://")
    matched = _SCHEME.fullmatch(scheme)
    if not separator or matched is None:
        raise ValueError(
            "begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://, nats://, tls://"
        )
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("must not hold a user or password; write publishConfig: {username: …, password: file:…}")
    if "?" in uri or "#" in uri:
        raise ValueError("takes no ?options and no #fragment; in a name write %3F and %23")
    if matched["redis"] is None:
        return BrokerUri("nats", scheme == "tls", "single", _hosts(authority, 4222), _subject(path))
    mode = _MODES[matched["mode"]]
    form = FORMS["redis" if mode == "single" else f"redis+{mode}"]
    hosts = _hosts(authority, 26379 if mode == "sentinel" else 6379)
    if mode == "single" and len(hosts) > 1:
        raise ValueError("redis:// takes one host; several are for redis+sentinel:// and redis+cluster://")
    service, *parts = path.split("/") if mode == "sentinel" else ("", *path.split("/"))
    if len(parts) != 2 or not parts[1] or (mode == "sentinel" and not service):
        raise ValueError(f"is not of the form {form}; a / in the stream's name is written %2F")
    if not re.fullmatch(r"[0-9]{1,5}", parts[0]):
        raise ValueError(f"has no database before the stream: {form}")
    if mode == "cluster" and int(parts[0]):
        raise ValueError("names a database, and a Cluster has one: 0")
    stream = unquote(parts[1], errors="replace")
    if not stream.isprintable() or "\ufffd" in stream:
        raise ValueError("names a stream with characters that can't be printed")
    return BrokerUri("redis", bool(matched["secure"]), mode, hosts, stream, unquote(service), int(parts[0]))


def _hosts(authority: str, default: int) -> tuple[Host, ...]:
    hosts = []
    for text in authority.split(","):
        found = _HOST.fullmatch(text)
        if found is None:
            raise ValueError("must name a host, and a port as a number if any, behind ://")
        port = default if found["port"] is None else int(found["port"])
        if not 0 < port < 65536:
            raise ValueError(f"port {port} is none; 1 to 65535 are")
        hosts.append((found["host"].strip("[]"), port))
    if len(hosts) > MAX_HOSTS:
        raise ValueError(f"names more than {MAX_HOSTS} hosts")
    return tuple(hosts)


def _subject(path: str) -> str:
    subject = unquote(path, errors="replace")
    if len(subject) > MAX_SUBJECT:
        raise ValueError(f"names a subject of over {MAX_SUBJECT} characters")
    plain = _SLOT.sub("v", subject)
    if not plain:
        raise ValueError(f"has no subject: {FORMS['nats']}")
    if "{" in plain or "}" in plain:
        raise ValueError("may hold {NAME} for a parameter in its subject, and no other braces")
    fault = token_fault(*plain.split("."))
    if fault:
        raise ValueError(f"names a subject {fault}")
    if plain.startswith(("$JS.", "$SYS.")):
        raise ValueError(f"names a subject under {plain.partition('.')[0]}, which is the server's own")
    return subject


def token_fault(*tokens: str) -> str | None:
    """Why these can't be tokens of a NATS subject to publish to (NATS documentation, "Subject-Based Messaging")."""
    for token in tokens:
        if not token:
            return "with an empty part: between dots there is at least one character"
        if not token.isprintable() or " " in token:
            return "with a space or a character that can't be printed"
        if "*" in token or ">" in token:
            return "with a wildcard (* or >), to which nobody can publish"
        if len(token) > 256:
            return "with a part of over 256 characters"
    return None


def check_publish(integration: Integration) -> Iterator[Problem]:
    """What is wrong with a PUBLISH integration, whatever its stages hold."""
    uri, config, tls = integration.integration_uri, integration.publish_config, integration.tls_config
    if uri is None:
        yield Problem(("integrationUri",), f"is required: {FORMS['redis']} or {FORMS['nats']}")
        return
    fault = _fault(uri)
    if fault:
        yield Problem(("integrationUri",), f"{shown(hidden(uri))} {fault}")
    if "integration_method" in integration.model_fields_set:
        yield Problem(("integrationMethod",), "has no effect: PUBLISH calls no HTTP backend; remove it")
    if tls is not None:
        if not uri.startswith(("rediss", "tls:")):
            yield Problem(("tlsConfig",), "has no effect: integrationUri is neither rediss:// nor tls://; remove it")
        if tls.insecure_skip_verification:
            text = "is not for brokers, which are verified or not called; give caCertificates"
            yield Problem(("tlsConfig", "insecureSkipVerification"), text)
        if tls.server_name_to_verify is not None and "+" in uri.partition(":")[0]:
            text = "can't name one server where there are several; remove it"
            yield Problem(("tlsConfig", "serverNameToVerify"), text)
    if config is not None:
        if config.max_length is not None and not uri.startswith("redis"):
            yield Problem(("publishConfig", "maxLength"), "has no effect: it is about Redis; remove it")
        if "acknowledgement" in config.model_fields_set and uri.startswith("redis"):
            yield Problem(("publishConfig", "acknowledgement"), "has no effect: it is about NATS; remove it")


def _fault(uri: str) -> str | None:
    if "${" in VARIABLE.sub("", uri):
        return "may hold ${stageVariables.NAME}, and no other ${…}"
    if VARIABLE.search(uri) and _SCHEME.fullmatch(uri.partition("://")[0]) and "@" not in uri:
        return None  # each stage says what stands there: it is judged once that is in
    try:
        parse_broker_uri(VARIABLE.sub("0", uri))
    except ValueError as error:
        return str(error)
    return None
