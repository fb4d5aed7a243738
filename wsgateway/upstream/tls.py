"""TLS towards backends: whom to trust, and who we are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How to make sure of a backend. As it stands: the machine's certificate authorities and the URL's host name.

    `ca_file` replaces those authorities, `certificate` and `key` are shown to a backend that asks, `server_name` is
    expected instead of the host, and `verify=False` takes any certificate (AWS `insecureSkipVerification`).
    """

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None
    verify: bool = True


DEFAULT_TLS = TlsSettings()


@lru_cache(maxsize=64)
def context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for `settings`; equal settings share one until their files are read again by `context.cache_clear`.

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
