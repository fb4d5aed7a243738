"""An issuer of tokens on loopback: the documents that a gateway fetches of it, and tokens that it signs."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from joserfc import jwt
from joserfc.jwk import RSAKey

AUDIENCE = "bench"
LIFE_SECONDS = 86_400
CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/keys"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs, by RS256."""

    url: str
    key: RSAKey

    def token(self, subject: str) -> str:
        """What such issuers hand out: good for a day, with the claims of a user."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + LIFE_SECONDS,
            "scope": "openid chat/read chat/write",
            "email": f"{subject}@example.com",
            "groups": ["people", "moderators"],
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, ["RS256"])


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that answers until the block is left."""
    key = RSAKey.generate_key(2048, {"kid": "bench", "alg": "RS256", "use": "sig"}, auto_kid=False)
    documents: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            self.send_response(200 if document else 404)
            self.send_header("Content-Length", str(len(document or b"")))
            self.end_headers()
            self.wfile.write(document or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        documents[CONFIGURATION] = json.dumps({"issuer": url, "jwks_uri": url + KEYS}).encode()
        documents[KEYS] = json.dumps({"keys": [key.as_dict(private=False)]}).encode()
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Issuer(url, key)
        finally:
            server.shutdown()
            thread.join()
