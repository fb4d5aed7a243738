"""The HTTP/1.1 client to backends."""

from wsgateway.upstream.egress import Egress
from wsgateway.upstream.exchange import Gate
from wsgateway.upstream.pool import Origin, Upstream
from wsgateway.upstream.tls import TlsSettings

__all__ = ["Egress", "Gate", "Origin", "TlsSettings", "Upstream"]
