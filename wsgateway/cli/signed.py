"""What signs the handshake of `wsgateway connect --sign`: AWS_IAM, with the keys that SDKs would find."""

from __future__ import annotations

import os

from websockets.headers import build_host
from websockets.uri import parse_uri

from wsgateway.authorizers.sigv4 import signed_query
from wsgateway.aws import Keys, NoEndpoint, ServiceEndpoints, Signer
from wsgateway.aws.credentials import by_botocore
from wsgateway.errors import InvalidSignature, StartError

DEFAULT_REGION = "us-east-1"


def signature(url: str, region: str | None) -> list[tuple[str, str]]:
    """The headers that sign a handshake with `url`, now; without a region, for that of the environment or profile.

    *Raises* StartError where there are no keys, or the URL has more parameters than are taken.
    """
    uri = parse_uri(url)
    try:
        region = ServiceEndpoints(os.environ, region).region or DEFAULT_REGION
        target = f"{uri.path}?{signed_query(uri.resource_name)}"
    except NoEndpoint as error:
        raise StartError(str(error)) from error
    except InvalidSignature as error:
        raise StartError(error.reason) from error
    signer = Signer("execute-api", region)
    shape = signer.shape("GET", target, {"host": build_host(uri.host, uri.port, uri.secure)})
    lines = signer.sign(_keys(), shape, b"").decode("latin-1").splitlines()
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def _keys() -> Keys:
    try:
        found = by_botocore()
        keys = None if found is None else found.get_frozen_credentials()
    except Exception as error:  # whatever programs, networks and files do to botocore
        raise StartError(f"the AWS credentials can't be read: {error}") from error
    if keys is None:
        raise StartError("there are no AWS credentials to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Keys(keys.access_key, keys.secret_key, keys.token or "")
