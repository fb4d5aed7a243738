"""The HTTP/1.1 client to backends."""

from wsgateway.upstream.egress import Egress
from wsgateway.upstream.exchange import Gate
from wsgateway.upstream.link import Link
from wsgateway.upstream.origin import Bounds, Origin
from wsgateway.upstream.pool import Upstream
from wsgateway.upstream.tls import TlsSettings

__all__ = ["Bounds", "Egress", "Gate", "Link", "Origin", "TlsSettings", "Upstream"]
