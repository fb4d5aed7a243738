"""Whom the gateway calls: whether each can be reached and trusted. Nothing is sent that could change anything.

Backends, endpoints of AWS and the like are connected to, TLS included, under the same egress policy as in `serve`;
issuers are asked for their keys (a GET); brokers are logged in to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from wsgateway.authorizers.jwks import IssuerKeys
from wsgateway.authorizers.jwt_authorizer import JwtAuthorizers
from wsgateway.aws import Credentials, NoEndpoint
from wsgateway.backends import Backends, Checked
from wsgateway.doctor.base import Finding, Verdict, address, failed, ok, warning
from wsgateway.doctor.trials import SECONDS, Trial, tried
from wsgateway.errors import IntegrationFailure, StartError
from wsgateway.integrations.publish.base import Broker, BrokerAway, Publisher
from wsgateway.integrations.publish.brokers import publisher
from wsgateway.telemetry.tracing import asked_for, collector
from wsgateway.transport.certificates import SOON
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.pool import Upstream
from wsgateway.upstream.reach import reach
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings

PORTS = {"http": 80, "https": 443}
BACKEND = "see that it runs, and that this machine may connect to it; until then calls of it fail"
BROKER = "see that it runs, and lets in who is named in publishConfig; until then nothing is published to it"
ISSUER = "until they can be had, nobody is let in by tokens that it signed"


async def places(checked: Checked, backends: Backends, environ: Mapping[str, str]) -> list[Finding]:
    """What is to be said of everybody whom a definition and the environment name."""
    trials = [
        *_backends(origin.dialer for origin in checked.origins),
        *_lookups(checked, backends.upstream),
        *_issuers(backends),
        *_brokers(backends),
    ]
    found, traces, keys = await asyncio.gather(
        tried(trials), _collector(environ, backends.upstream), _credentials(checked, backends)
    )
    return [*keys, *found, *traces]


def _backends(dialers: Iterable[Dialer]) -> Iterator[Trial]:
    """One for each place, however many integrations have connections to it."""
    distinct = {(each.url, each.host, each.port, each.server_name, each.secure): each for each in dialers}
    for dialer in sorted(distinct.values(), key=lambda each: each.url):
        yield Trial("backend", dialer.url, partial(_reached, "backend", dialer), BACKEND)


async def _reached(check: str, dialer: Dialer) -> Finding:
    try:
        ends = await reach(dialer)
    except IntegrationFailure as error:
        return failed(check, dialer.url, error.reason.removeprefix(f"backend {dialer.url} "), BACKEND)
    return trusted(check, dialer.url, ends, datetime.now(UTC))


def trusted(check: str, where: str, ends: datetime | None, now: datetime) -> Finding:
    """What is to be said of who took a connection, and showed a certificate until then."""
    if ends is None:
        return ok(check, where, "takes connections")
    if now >= ends - SOON:
        found = f"takes connections, with a certificate that expires on {ends:%Y-%m-%d %H:%M} UTC"
        return warning(check, where, found, "have it renewed: with the next one that is expired, calls fail")
    return ok(check, where, f"takes connections, with a certificate until {ends:%Y-%m-%d}")


def _lookups(checked: Checked, upstream: Upstream) -> Iterator[Trial]:
    lookup = checked.loaded.definitions.session_lookup
    if lookup is not None:
        dialer = _dialer(upstream, lookup.url, DEFAULT_TLS)
        yield Trial("session lookup", dialer.url, partial(_reached, "session lookup", dialer), BACKEND)


def _dialer(upstream: Upstream, url: str, tls: TlsSettings) -> Dialer:
    """*Raises* ValueError for what is no URL of http or https, OSError for files that can't be used."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        host, port = None, 0
    if host is None:
        raise ValueError("it is no URL that can be called: write http:// or https://, a host, and its port if need be")
    return upstream.origin(parts.scheme, host, port, share="doctor", tls=tls).dialer


def _issuers(backends: Backends) -> Iterator[Trial]:
    """Two documents, of which the first may say where the second is."""
    kinds = [kind for kind in backends.authorizers.types.values() if isinstance(kind, JwtAuthorizers)]
    for keys in (keys for kind in kinds for keys in kind.issuers):
        yield Trial("issuer", keys.issuer, partial(_keys, keys), ISSUER, 2 * SECONDS)


async def _keys(keys: IssuerKeys) -> Finding:
    try:
        found = await keys.fetch()
    except (OSError, ValueError) as error:
        return failed("issuer", keys.issuer, f"its keys can't be had: {error}", ISSUER)
    if not found:
        return failed("issuer", keys.issuer, "it publishes no key that can be used", ISSUER)
    return ok("issuer", keys.issuer, f"{len(found)} keys")


def _brokers(backends: Backends) -> Iterator[Trial]:
    for broker in backends.brokers.known:
        link = publisher(broker)  # made before the clock runs: the first one of a kind imports a library
        yield Trial("broker", str(broker), partial(_logged_in, broker, link), BROKER)


async def _logged_in(broker: Broker, link: Publisher) -> Finding:
    try:
        await link.open()
    except BrokerAway as error:
        return failed("broker", str(broker), str(error).removeprefix(f"{broker}: "), BROKER)
    except OSError as error:  # files of its TLS
        return failed("broker", str(broker), error.strerror or str(error), BROKER)
    finally:
        await link.aclose()
    return ok("broker", str(broker), "takes connections, and lets us in")


async def _collector(environ: Mapping[str, str], upstream: Upstream) -> list[Finding]:
    """Where traces go. That it can't be reached does no harm but to them."""
    try:
        if asked_for(environ) is None:
            return []
    except StartError:
        return []  # told with the process's settings
    ca_file = environ.get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE") or environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")
    mend = "mend OTEL_EXPORTER_OTLP_ENDPOINT, or start the collector: until then traces are lost"
    try:
        dialer = _dialer(upstream, collector(environ), TlsSettings(ca_file=ca_file) if ca_file else DEFAULT_TLS)
    except (OSError, ValueError) as error:
        return [warning("traces", "OTEL_EXPORTER_OTLP_ENDPOINT", str(error), mend)]
    where = address(dialer.host, dialer.port)
    (found,) = await tried([Trial("traces", where, partial(_reached, "traces", dialer), mend)])
    return [found if found.verdict is not Verdict.FAILED else warning("traces", where, found.found, mend)]


async def _credentials(checked: Checked, backends: Backends) -> list[Finding]:
    """Whether there are keys for all who sign; where there is nothing to be signed, nobody looks."""
    for signer in checked.signers:
        signer.start()
    await asyncio.gather(*(signer.first() for signer in checked.signers))
    found = [_found(signer) for signer in sorted(checked.signers, key=lambda each: each.role)]
    try:
        region = backends.aws.endpoints.region
    except NoEndpoint as error:
        return [*found, failed("AWS profile", "~/.aws/config", str(error), "mend it, or AWS_PROFILE")]
    return [*found, ok("AWS region", "--region", region)] if found and region else found


def _found(signer: Credentials) -> Finding:
    where = signer.role or "this process"
    if signer.keys is None:
        return failed("AWS credentials", where, signer.missing, "until then calls that they are to sign fail")
    return ok("AWS credentials", where, f"access key {signer.keys.access_key}")
