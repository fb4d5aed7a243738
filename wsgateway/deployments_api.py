"""What is deployed, over the internal listener: `GET /deployments`, and `GET` and `POST /deployments/{digest}`.

A POST has every node execute that deployment. Where the internal listener is bound to loopback, whoever is on the
machine may do it; elsewhere the installation secret is asked for, and so it is for a deployment's text, which may hold
what nobody else should read. Web pages that a browser on the machine shows may do neither: a browser names the page in
`Origin` on every POST (Fetch standard, "append a request Origin header"), and asks first before it sends
`application/json` elsewhere, which nobody here answers; a page whose name was made to resolve to this machine has that
name in `Host`.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence

from wsgateway.archive import is_digest
from wsgateway.deploy import Deployments, NotKept
from wsgateway.errors import DefinitionError, RegistryAway
from wsgateway.invocation import iso_time
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.registry.base import NodeEntry

JSON = ((b"Content-Type", b"application/json"),)
TEXT = ((b"Content-Type", b"text/plain; charset=utf-8"),)
YAML = ((b"Content-Type", b"application/yaml"),)  # RFC 9512
PATH = "/deployments"
UNGUARDED = (
    "the internal listener can be reached from elsewhere, so this needs an installation secret: start the gateway with "
    "--installation-secret-file or WSGATEWAY_INSTALLATION_SECRET, or bind it to loopback (--internal-host 127.0.0.1)"
)
REFUSED = "send the installation secret as Authorization: Bearer SECRET"


class DeploymentsApi:
    """A Handler: answers what is about deployments and passes everything else on.

    `secret` is the installation's where it was given one, `open` says that only this machine reaches the listener, and
    `nodes` gives all living nodes.
    """

    def __init__(
        self,
        deployments: Deployments,
        *,
        nodes: Callable[[], Sequence[NodeEntry]],
        secret: bytes | None,
        open: bool,
        otherwise: Handler,
    ) -> None:
        self._deployments = deployments
        self._nodes = nodes
        self._secret = secret
        self._open = open
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        path = request.target.partition("?")[0]
        if path == PATH:
            return self._list() if request.method in ("GET", "HEAD") else _not_allowed(b"GET, HEAD")
        if not path.startswith(f"{PATH}/"):
            return self._otherwise(request)
        digest = path[len(PATH) + 1 :]
        if request.method not in ("GET", "HEAD", "POST"):
            return _not_allowed(b"GET, HEAD, POST")
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if is_digest(digest) is None:
            return _problem(404, f"{digest!r} is no digest of a deployment: 64 hexadecimal digits in lower case")
        return self._use(digest) if request.method == "POST" else self._show(digest)

    # Who may

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if request.method == "POST":
            if request.header(b"origin") is not None:
                return _problem(403, "web pages may not change what is deployed")
            kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                return _problem(415, "send Content-Type: application/json")
        if self._secret is not None and self._bears_secret(request):
            return None
        if not self._open:
            return _problem(403, UNGUARDED) if self._secret is None else _problem(401, REFUSED)
        if not _names_this_machine(request.host):
            return _problem(403, "call this by the address of the listener or as localhost")
        return None

    def _bears_secret(self, request: HttpRequest) -> bool:
        scheme, _, token = (request.header(b"authorization") or b"").partition(b" ")
        assert self._secret is not None
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._secret)

    # What is answered

    async def _list(self) -> HttpResponse:
        await self._deployments.archive.look()
        return _json(200, self._state())

    async def _show(self, digest: str) -> HttpResponse:
        try:
            text = await self._deployments.archive.text(digest)
        except RegistryAway:
            return _away()
        return _unknown(digest) if text is None else HttpResponse(200, YAML, text.encode())

    async def _use(self, digest: str) -> HttpResponse:
        files = {entry.file_digest for entry in self._nodes()} - {""}
        try:
            await self._deployments.use(digest, files)
        except NotKept:
            return _unknown(digest)
        except DefinitionError as error:
            problems = [str(problem) for problem in error.problems]
            message = "it can't be put in force on this node, so nothing was changed"
            return _json(409, {"message": message, "problems": problems})
        except RegistryAway:
            return _away()
        return _json(200, self._state())

    def _state(self) -> dict[str, object]:
        deployments = self._deployments
        archive = deployments.archive
        nodes = self._nodes()
        pointer = archive.instead_of(deployments.file_digest)
        return {
            "inForce": deployments.digest,
            "file": deployments.file_digest,
            "rollback": pointer and {"digest": pointer.use, "since": iso_time(pointer.at), "node": pointer.node},
            "registryAway": archive.away,
            "problems": list(deployments.problems),
            "deployments": [
                {
                    "digest": digest,
                    "deployedAt": iso_time(kept.at),
                    "node": kept.node,
                    "bytes": kept.size,
                    "inForce": digest == deployments.digest,
                    "file": digest == deployments.file_digest,
                    "nodes": _executing(nodes, digest),
                }
                for digest, kept in archive.kept.items()
            ],
            "nodes": [{"name": node.name, "executes": node.digest, "file": node.file_digest} for node in nodes],
        }


def _executing(nodes: Iterable[NodeEntry], digest: str) -> list[str]:
    return sorted(node.name for node in nodes if node.digest.partition("+")[0] == digest)


def _names_this_machine(host: str) -> bool:
    """Whether a Host is an address or localhost: no name that somebody else lets resolve to this machine."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _json(status: int, value: object) -> HttpResponse:
    return HttpResponse(status, JSON, json.dumps(value).encode() + b"\n")


def _problem(status: int, message: str) -> HttpResponse:
    return _json(status, {"message": message})


def _unknown(digest: str) -> HttpResponse:
    return _problem(404, f"deployment {digest} is not kept, or its text in the registry can't be trusted")


def _away() -> HttpResponse:
    answer = _problem(503, "the registry is away: whether anything was changed is not known; try again")
    return HttpResponse(503, (*answer.headers, (b"Retry-After", b"1")), answer.body)


def _not_allowed(methods: bytes) -> HttpResponse:
    return HttpResponse(405, (*TEXT, (b"Allow", methods)), b"use " + methods + b"\n")
