"""What is deployed, over the internal listener: `GET /deployments`, and `GET` and `POST /deployments/{digest}`.

A POST has every node execute that deployment. Who may do that is up to the guard, as it is who may read a deployment's
text, which may hold what nobody else should know.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence

from wsgateway.archive import is_digest
from wsgateway.deploy import Deployments, NotKept
from wsgateway.errors import DefinitionError, RegistryAway
from wsgateway.guard import Guard
from wsgateway.invocation import iso_time
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.registry.base import NodeEntry

JSON = ((b"Content-Type", b"application/json"),)
TEXT = ((b"Content-Type", b"text/plain; charset=utf-8"),)
YAML = ((b"Content-Type", b"application/yaml"),)  # RFC 9512
PATH = "/deployments"


class DeploymentsApi:
    """A Handler: answers what is about deployments and passes everything else on.

    `nodes` gives all living nodes.
    """

    def __init__(
        self,
        deployments: Deployments,
        *,
        nodes: Callable[[], Sequence[NodeEntry]],
        guard: Guard,
        otherwise: Handler,
    ) -> None:
        self._deployments = deployments
        self._nodes = nodes
        self._guard = guard
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
        refusal = self._guard.refusal(request)
        if refusal is not None:
            return refusal
        if is_digest(digest) is None:
            return _problem(404, f"{digest!r} is no digest of a deployment: 64 hexadecimal digits in lower case")
        return self._use(digest) if request.method == "POST" else self._show(digest)

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
