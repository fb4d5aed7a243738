"""`tlsConfig`: how an integration makes sure of its HTTPS backend, and what it shows of itself."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Annotated

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.explain import shown_path
from wsgateway.model.file import File

ServerName = Annotated[
    str,
    Matches(
        r"(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?",
        "a host name without port, such as api.example.com",
    ),
]


class TlsConfig(Definition):
    """TLS towards an HTTPS backend. Without it, the machine's certificate authorities and the URL's host name count."""

    server_name_to_verify: ServerName | None = None
    """The name the backend's certificate must have, sent as SNI too; the URL's host."""
    insecure_skip_verification: bool = False
    """true takes certificates of any authority; their dates and their name are still checked; false."""
    ca_certificates: File | None = None
    """The authorities to trust instead of the machine's: `file:PATH` of PEM certificates. (Ours.)"""
    client_certificate: File | None = None
    """The certificate shown to a backend that asks: `file:PATH` in PEM, with its chain behind it. (Ours.)"""
    client_key: File | None = None
    """The key of clientCertificate: `file:PATH` in PEM; not needed where that file holds it too. (Ours.)"""

    def check(self) -> Iterator[Problem]:
        if self.ca_certificates is not None:
            if self.insecure_skip_verification:
                yield Problem(("caCertificates",), "has no effect beside insecureSkipVerification; remove one of them")
            fault = _authorities_fault(self.ca_certificates)
            if fault:
                yield Problem(("caCertificates",), fault)
        if self.client_certificate is not None:
            yield from _check_pair(self.client_certificate, self.client_key)
        elif self.client_key is not None:
            yield Problem(("clientKey",), "has no effect without clientCertificate")


def _authorities_fault(file: File) -> str | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file.path)
    except (ssl.SSLError, OSError) as error:
        return f"{shown_path(file.path)} holds no usable PEM certificate{_detail(error)}"
    return None


class _Encrypted(Exception):
    """The key asks for a password."""


def _password() -> str:
    raise _Encrypted  # OpenSSL would ask at the terminal


def _check_pair(certificate: File, key: File | None) -> Iterator[Problem]:
    """The certificate can be read, and its key is the right one."""
    name, place = shown_path(certificate.path), "clientKey" if key is not None else "clientCertificate"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate.path)
    except (ssl.SSLError, OSError) as error:
        yield Problem(("clientCertificate",), f"{name} holds no usable PEM certificate{_detail(error)}")
        return
    holder = shown_path(key.path) if key is not None else name
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            certificate.path, key.path if key is not None else None, _password
        )
    except _Encrypted:
        yield Problem((place,), f"{holder} holds an encrypted key; decrypt it (openssl pkey)")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield Problem((place,), f"the key in {holder} is not the one of the certificate in {name}")
        elif key is None:
            yield Problem((place,), f"{name} holds no usable PEM key beside the certificate; give clientKey")
        else:
            yield Problem((place,), f"{holder} holds no usable PEM key{_detail(error)}")
    except OSError as error:
        yield Problem((place,), f"{holder} can't be read{_detail(error)}")


def _detail(error: OSError) -> str:
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else error.strerror or ""
    return f" ({reason.replace('_', ' ').lower()})" if reason else ""
