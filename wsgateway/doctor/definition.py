"""The definition, the files it names, and the certificates that clients are shown: as `serve` would take them."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from wsgateway.backends import Backends, Checked, check
from wsgateway.doctor.base import Finding, failed, ok, warning
from wsgateway.errors import DefinitionError, Problem
from wsgateway.model.file import PREFIX, read_file
from wsgateway.model.loader import Loaded, load
from wsgateway.model.remarks import remarks
from wsgateway.settings import Settings
from wsgateway.transport.certificates import KeyPair
from wsgateway.transport.keyring import Keyring

PUBLIC = (".yaml", ".yml", ".json")
"""Files that a definition names and that are definitions themselves."""


def loaded_from(settings: Settings, environ: Mapping[str, str]) -> tuple[Loaded | None, list[Finding]]:
    """The definition, or every problem of it."""
    try:
        return load(settings.file, environ, settings.reading), []
    except DefinitionError as error:
        return None, [_failed(problem) for problem in error.problems]


def checked_with(loaded: Loaded, settings: Settings, backends: Backends) -> tuple[Checked | None, list[Finding]]:
    """What could be put in force here, or every problem that keeps it from that."""
    keyring = Keyring(files=settings.tls_files, needed=settings.tls_port is not None)
    try:
        return check(loaded, backends, keyring), []
    except DefinitionError as error:
        return None, [_failed(problem) for problem in error.problems]


def definition(checked: Checked, settings: Settings, backends: Backends) -> Iterator[Finding]:
    """What is to be said of a definition that nothing is wrong with."""
    loaded = checked.loaded
    stages = [*checked.deployment.stages, *checked.deployment.rest]
    found = f"valid; APIs: {len({api_id for api_id, _ in stages})}, stages: {len(stages)}"
    yield ok("definition", loaded.source.file, found)
    for remark in (*remarks(loaded), *checked.strangers, *checked.misplaced):
        yield _remarked("definition", remark)
    functions, directory = loaded.definitions.functions, loaded.source.directory
    for problem in backends.functions.remarks(functions, directory):
        yield _remarked("functions", loaded.source.locate(problem))
    if functions:
        yield ok("functions", loaded.source.file, f"{len(functions)} with code and runtimes that are there")
    yield from _certificates(checked, settings)


def _certificates(checked: Checked, settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    named = list(checked.certificates.named())
    for name, pair in named:
        yield from certificate(name, pair, now)
    if any(name for name, _ in named) and settings.tls_port is None:
        text = "certificates of domains are not used: no port speaks TLS"
        yield warning("certificate", checked.loaded.source.file, text, "give --tls-port")


def certificate(name: str, pair: KeyPair, now: datetime) -> Iterator[Finding]:
    """What clients will think of a certificate, which is for the domain `name`, or for all else."""
    where = name or "--tls-cert"
    said = list(pair.remarks(now, name or None))
    refused = not pair.begins <= now < pair.expires
    for number, remark in enumerate(said):
        if refused and number == 0:
            yield failed("certificate", where, remark)
        else:
            yield warning("certificate", where, remark, "renew it, write the files anew, and send SIGHUP")
    if not said:
        yield ok("certificate", where, f"fits its key, until {pair.expires:%Y-%m-%d}")


def secret_files(loaded: Loaded, settings: Settings) -> Iterator[Finding]:
    """Whether others on the machine can read, or write, what is to be secret."""
    directory = loaded.source.directory
    named = [directory / name.removeprefix(PREFIX) for name in loaded.outside if name.startswith(PREFIX)]
    given = [settings.tls_key, settings.installation_secret_file]
    paths = list(dict.fromkeys([*named, *(path for path in given if path is not None)]))
    secret = [path for path in paths if _is_secret(path)]
    exposed = [finding for path in secret for finding in _exposed(path)]
    yield from exposed
    if secret and not exposed:
        yield ok("secret files", str(directory), f"{len(secret)}, which others on this machine can't read")


def _is_secret(path: Path) -> bool:
    """Keys, passwords and the like: all but definitions, and certificates without a key."""
    if path.suffix in PUBLIC:
        return False
    try:
        content = read_file(path)
    except (OSError, ValueError):
        return False  # told where it is read for its sake
    return b"PRIVATE KEY" in content or b"-----BEGIN CERTIFICATE" not in content


def _exposed(path: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        who = "others can read it" if mode & stat.S_IROTH else "others can change it"
        mend = "chmod 600 (in Kubernetes: defaultMode: 0440 of the volume, and fsGroup)"
        yield warning("secret files", str(path), f"mode {mode:04o}: {who}", mend)


def _failed(problem: Problem) -> Finding:
    where, text = _place(problem)
    return failed("definition", where, text)


def _remarked(check: str, problem: Problem) -> Finding:
    where, text = _place(problem)
    return warning(check, where, text, "see docs/definitions.md")


def _place(problem: Problem) -> tuple[str, str]:
    where = f"{problem.file}:{problem.line}" if problem.line else problem.file
    path = ".".join(str(part) for part in problem.path)
    return where, f"{path}: {problem.text}" if path else problem.text
