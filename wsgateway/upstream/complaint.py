"""What went wrong with a connection, in the words of whoever has to mend it."""

from __future__ import annotations

import ssl

UNTRUSTED = "has a certificate that can't be trusted"

# By OpenSSL's names.
TLS_COMPLAINTS = {
    "UNSUPPORTED_PROTOCOL": "speaks no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "speaks no TLS 1.2 or newer",
    "NO_PROTOCOLS_AVAILABLE": "speaks no TLS 1.2 or newer",
    "WRONG_VERSION_NUMBER": "speaks no TLS",
    "HTTP_REQUEST": "speaks no TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "asks for a client certificate (tlsConfig.clientCertificate)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "refused the TLS handshake; perhaps it asks for a client certificate",
}
REFUSED_US = {
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_DECRYPT_ERROR",
}


def complaint(error: OSError | ValueError) -> str:
    """What a backend did, as it stands behind its name in a sentence."""
    match error:
        case ConnectionRefusedError():
            return "refused the connection"
        case ssl.SSLCertVerificationError():
            return f"{UNTRUSTED}: {error.verify_message}"
        case ssl.SSLError(reason=str(reason)) if reason in TLS_COMPLAINTS:
            return TLS_COMPLAINTS[reason]
        case ssl.SSLError(reason=str(reason)) if reason in REFUSED_US:
            alert = reason.partition("_ALERT_")[2].replace("_", " ").lower()
            return f"refused the client certificate: {alert}"
        case ssl.SSLError():
            return f"failed the TLS handshake: {error}"
        case TimeoutError():
            return "did not answer"
        case ConnectionResetError() if not error.args:
            # what an event loop says of an end of the stream before the handshake's
            return "ended the connection during the TLS handshake"
        case _:
            return f"can't be connected to: {error}"
