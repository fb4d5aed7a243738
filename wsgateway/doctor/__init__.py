"""What an operator needs to know before or after a start: a list of checks, each with its verdict.

Everything is looked at as `serve` with the same settings would: by the same code, the same limits and the same policy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from wsgateway.backends import Backends, Checked
from wsgateway.doctor.base import Finding, Verdict
from wsgateway.doctor.definition import checked_with, definition, loaded_from, secret_files
from wsgateway.doctor.machine import machine
from wsgateway.doctor.places import places
from wsgateway.doctor.ports import ports
from wsgateway.doctor.process import advertised, process
from wsgateway.errors import SettingError
from wsgateway.model.fingerprint import fingerprint
from wsgateway.model.loader import Loaded
from wsgateway.redis.target import Target
from wsgateway.settings import Settings, installation_secret
from wsgateway.transport.listener import is_loopback_host
from wsgateway.upstream.egress import Egress
from wsgateway.wiring import backends_to_check

__all__ = ["Finding", "Report", "Verdict", "examine"]


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found. `valid`: nothing is wrong with the definition."""

    findings: tuple[Finding, ...]
    valid: bool

    def count(self, verdict: Verdict) -> int:
        return sum(finding.verdict is verdict for finding in self.findings)

    @property
    def code(self) -> int:
        """The exit code: 2 for an invalid definition, 1 where something else failed, else 0."""
        if not self.valid:
            return 2
        return 1 if self.count(Verdict.FAILED) else 0


async def examine(settings: Settings, environ: Mapping[str, str]) -> Report:
    """Look at everything. *Raises* SettingError for a Redis URL that means nothing."""
    redis = _redis(settings)
    loaded, findings = loaded_from(settings, environ)
    backends = backends_to_check(environ, settings.region, _egress(settings, redis), settings.account_id)
    try:
        checked, problems = (None, []) if loaded is None else checked_with(loaded, settings, backends)
        findings += problems
        if checked is not None:
            findings += definition(checked, settings, backends)
        if loaded is not None:
            findings += secret_files(loaded, settings)
        findings += [*process(settings, environ), *machine(settings, None if loaded is None else loaded.definitions)]
        findings += await ports(settings)
        shared, called = await asyncio.gather(
            _shared(settings, environ, redis, loaded), _called(checked, backends, environ)
        )
    finally:
        await backends.aclose()
    return Report((*findings, *shared, *called), valid=checked is not None)


def _redis(settings: Settings) -> Target | None:
    if not settings.shared:
        return None
    from wsgateway.registry.target import target  # Redis's client takes 0.1 s to import

    return target(settings.redis_url)


def _egress(settings: Settings, redis: Target | None) -> Egress:
    """What integrations may not call: the gateway's own ports, and Redis."""
    egress = Egress()
    own = (
        (settings.host, settings.port),
        (settings.host, settings.tls_port),
        (settings.internal_host, settings.internal_port),
    )
    for host, port in (*own, *(() if redis is None else redis.addresses)):
        if port:
            egress.deny_own(host, port)
    return egress


async def _shared(
    settings: Settings, environ: Mapping[str, str], redis: Target | None, loaded: Loaded | None
) -> list[Finding]:
    if redis is None:
        return []
    from wsgateway.doctor.registry import registry

    digest = None
    if loaded is not None:
        try:
            secret = installation_secret(settings.installation_secret_file, environ)
        except SettingError:
            secret = None  # told with the process's settings
        digest = await asyncio.to_thread(fingerprint, loaded, secret or b"")
    elsewhere = any(not is_loopback_host(host) for host, _ in redis.addresses)
    return [*advertised(settings, elsewhere), *await registry(redis, settings.redis_prefix, digest)]


async def _called(checked: Checked | None, backends: Backends, environ: Mapping[str, str]) -> list[Finding]:
    return [] if checked is None else await places(checked, backends, environ)
