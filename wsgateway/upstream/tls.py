"""TLS towards backends: whom to trust, and who we are."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How to make sure of a backend. As it stands: the machine's certificate authorities and the URL's host name.

    `ca_file` replaces those authorities, `certificate` and `key` are shown to a backend that asks, `server_name` is
    expected instead of the host, and `verify=False` takes certificates of any authority (`peer_fault` is left then).
    `version` tells apart what files of the same names held at different times.
    """

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None
    verify: bool = True
    version: str = ""


DEFAULT_TLS = TlsSettings()


@lru_cache(maxsize=64)
def context(settings: TlsSettings, machine: str = "") -> ssl.SSLContext:
    """The context for `settings`; equal ones share one. `machine` is the `machine_version` it is made for.

    *Raises* OSError or ssl.SSLError for files that are missing or hold something else.
    """
    made = ssl.create_default_context(cafile=settings.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if settings.certificate is not None:
        made.load_cert_chain(settings.certificate, settings.key)
    if not settings.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def machine_version() -> str:
    """Another value once the machine's certificate authorities (SSL_CERT_FILE, SSL_CERT_DIR) have changed."""
    paths = ssl.get_default_verify_paths()
    return repr([file_version(path) for path in (paths.cafile, paths.capath)])


def machine_fault() -> str | None:
    """What is wrong with SSL_CERT_FILE or SSL_CERT_DIR, in words: OpenSSL would say nothing and trust nobody."""
    return _machine_fault(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"), machine_version())


@lru_cache(maxsize=4)
def _machine_fault(file: str | None, directories: str | None, _version: str) -> str | None:
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except ssl.SSLError:
            return f"SSL_CERT_FILE names {file}, which holds no usable PEM certificate"
        except OSError as error:
            return f"SSL_CERT_FILE names {file}, which can't be read: {error.strerror}"
    if directories and not any(Path(name).is_dir() for name in directories.split(os.pathsep)):
        return f"SSL_CERT_DIR names {directories}, which is no directory"
    return None


def file_version(path: str | None) -> str:
    """Another value once the file (or folder) of that name is another."""
    try:
        status = Path(path or "").stat()
    except OSError:
        return ""
    return f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def peer_fault(certificate: bytes, name: str, now: datetime | None = None) -> str | None:
    """Why a certificate (DER) is not one for `name` at this time, whoever issued it; None where it is.

    What API Gateway still checks with insecureSkipVerification: expiry and host name. Names are compared as RFC 9525
    §6.3 says: subject alternative names only, `*` for the whole first label.
    """
    from cryptography import x509  # the one place in a running gateway that reads certificates by itself

    try:
        read = x509.load_der_x509_certificate(certificate)
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = names.get_values_for_type(x509.DNSName)
        addresses = names.get_values_for_type(x509.IPAddress)
    except x509.ExtensionNotFound:
        return "certificate has no subject alternative name"
    except ValueError as error:
        return f"certificate can't be read: {error}"
    now = now or datetime.now(UTC)
    if now > read.not_valid_after_utc:
        return "certificate has expired"
    if now < read.not_valid_before_utc:
        return "certificate is not yet valid"
    try:
        fits = ip_address(name) in addresses
    except ValueError:
        fits = any(_fits(pattern.lower(), name.lower().removesuffix(".")) for pattern in known)
    return None if fits else f"certificate is not valid for '{name}'"


def _fits(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == name
    first, _, rest = name.partition(".")
    return bool(first) and rest == pattern[2:] and "." in rest
