"""`tlsConfig` as connections to backends and brokers need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings

if TYPE_CHECKING:
    from wsgateway.model.tls import TlsConfig


def tls_settings(config: TlsConfig | None) -> TlsSettings:
    """The files by name and content: what is replaced under its name makes other connections."""
    if config is None:
        return DEFAULT_TLS
    files = config.ca_certificates, config.client_certificate, config.client_key
    ca_file, certificate, key = (None if file is None else str(file.path) for file in files)
    return TlsSettings(
        ca_file=ca_file,
        certificate=certificate,
        key=key,
        server_name=config.server_name_to_verify,
        verify=not config.insecure_skip_verification,
        version=" ".join("" if file is None else file.digest for file in files),
    )
