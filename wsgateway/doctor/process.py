"""What flags and the environment ask for besides the definition: secrets, files that are written, traces."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from wsgateway.app import check_callback_auth
from wsgateway.dataplane.callback import WILDCARDS
from wsgateway.doctor.base import Finding, failed, ok, warning
from wsgateway.errors import StartError
from wsgateway.guard import UNGUARDED
from wsgateway.settings import Settings, installation_secret
from wsgateway.telemetry.tracing import asked_for, exporter_of
from wsgateway.transport.listener import is_loopback_host


def process(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What flags and variables ask for."""
    try:
        check_callback_auth(settings)
    except StartError as error:
        yield failed("callbacks", "--callback-auth", str(error))
    yield from _secret(settings, environ)
    if settings.access_log != "-":
        yield written("access log", "--access-log", Path(settings.access_log))
    if settings.ready_file is not None:
        yield written("ready file", "--ready-file", settings.ready_file)
    yield from _traces(environ)


def _secret(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    where = "--installation-secret-file"
    try:
        secret = installation_secret(settings.installation_secret_file, environ)
    except StartError as error:
        yield failed("installation secret", where, str(error))
        return
    if secret is not None:
        yield ok("installation secret", where, f"{len(secret)} bytes")
    elif not is_loopback_host(settings.internal_host):
        found = (
            "none, and the internal listener can be reached from elsewhere: using and showing deployments, tickets, "
        )
        found += "usage, pages of APIs and flushes of kept answers "
        yield warning("installation secret", where, f"{found}are refused to everybody", UNGUARDED.partition(": ")[2])


def written(check: str, flag: str, path: Path) -> Finding:
    """Whether a file can be written to. Nothing is."""
    where = f"{flag} {path}"
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        folder = path.parent
        if not folder.is_dir():
            return failed(check, where, f"{folder} is no folder", "make it, or name another file")
        if not os.access(folder, os.W_OK | os.X_OK):
            return failed(check, where, f"no file can be made in {folder}", "let this user write there")
        return ok(check, where, "will be made")
    except OSError as error:
        return failed(check, where, error.strerror or str(error), "name another file")
    if stat.S_ISDIR(kind):
        return failed(check, where, "it is a folder", "name a file")
    if not os.access(path, os.W_OK):
        return failed(check, where, "it can't be written to", "let this user write to it")
    if stat.S_ISFIFO(kind) and not os.access(path, os.R_OK):
        return failed(check, where, "this FIFO can't be read", "let this user read it, too")
    return ok(check, where, "can be written to")


def _traces(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        sampling = asked_for(environ)
    except StartError as error:
        yield failed("traces", "OTEL_…", str(error))
        return
    if sampling is None:
        return
    exporter = exporter_of(environ)
    if not exporter.installed:
        yield failed("traces", "OTEL_…", "asked for, and not installed", exporter.mend)
    else:
        share = "all events" if sampling.ratio == 1 else f"{sampling.ratio:g} of all events"
        yield ok("traces", "OTEL_…", f"{share}{', and those that clients sample' if sampling.parents else ''}")


def advertised(settings: Settings, others: bool) -> Iterator[Finding]:
    """Whether `others`, nodes on other machines, find this one where it says it is."""
    if settings.advertise is not None:
        host = urlsplit(f"//{settings.advertise}").hostname or ""
    else:
        host = socket.gethostname() if settings.internal_host in WILDCARDS else settings.internal_host
    if others and is_loopback_host(host):
        found = f"{host} is what this node tells the others, and nodes on other machines can't reach it there"
        yield warning("address", "--advertise", found, "give --internal-host, or --advertise")
