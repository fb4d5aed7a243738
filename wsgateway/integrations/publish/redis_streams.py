"""Redis Streams: each publication is one entry, by XADD (redis.io, "XADD").

An entry is acknowledged once Redis has it in memory. Whether it outlives Redis, or a failover, is up to Redis's own
settings (appendfsync, replication).
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from redis.exceptions import NoPermissionError

from wsgateway.integrations.publish.base import OPEN_SECONDS, Broker, BrokerAway, Outcome, Publication, Refused
from wsgateway.integrations.publish.metadata import BODY
from wsgateway.redis.client import Client, RedisAway
from wsgateway.redis.target import Target, Tls

if TYPE_CHECKING:
    from wsgateway.redis.client import Command


class RedisStreams:
    """The Publisher of Redis: what is sent at once is one pipeline, and one connection keeps its order."""

    def __init__(self, broker: Broker) -> None:
        self.lost: Callable[[str], None] = _nobody
        self._target = _target(broker)
        self._client: _Client | None = None

    async def open(self) -> None:
        """PING needs what every command needs: a connection, and to be let in. Whether it is allowed is no matter."""
        client = self._client
        if client is None:
            client = self._client = _Client(self._target, reply_seconds=None)
        try:
            await client.command("PING", seconds=OPEN_SECONDS)
        except RedisAway as error:
            if not isinstance(error.__cause__, NoPermissionError):
                raise BrokerAway(str(error)) from error

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Outcome | Future[Outcome]]:
        client = self._client
        assert client is not None  # it is open
        try:
            answers = await client.answers([_command(publication) for publication in batch], seconds=seconds)
        except RedisAway as error:
            raise BrokerAway(str(error)) from error
        return [self._meaning(client, answer) for answer in answers]

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _meaning(self, client: Client, answer: object) -> Outcome:
        if isinstance(answer, bytes):
            return b'{"id":"%b"}' % answer  # digits and a dash
        assert isinstance(answer, Exception)
        if isinstance(answer, NoPermissionError):
            return Refused(f"Redis at {self._target}: the user may not XADD to this stream", transient=False)
        transient = not str(answer).startswith("WRONGTYPE")
        return Refused(f"Redis at {self._target}: {client.reason(answer)}", transient=transient)


class _Client(Client):
    reasons: ClassVar[Mapping[str, str]] = {
        "WRONGTYPE": "the key of this name holds something other than a stream",
        "equal or smaller than the target stream top item": "the stream's newest entry is from the future",
    }


def _command(publication: Publication) -> Command:
    trim: Command = ("MAXLEN", "~", publication.max_length) if publication.max_length else ()
    fields = [text for field in publication.fields for text in field]
    return ("XADD", publication.name, *trim, "*", BODY, publication.body, *fields)


def _target(broker: Broker) -> Target:
    tls = broker.tls
    return Target(
        kind=broker.mode,
        addresses=broker.hosts,
        service=broker.service,
        db=broker.db,
        username=broker.username,
        password=broker.password,
        tls=None
        if tls is None
        else Tls(ca_file=tls.ca_file, cert_file=tls.certificate, key_file=tls.key, server_name=tls.server_name),
    )


def _nobody(reason: str) -> None:
    """Nobody owns it yet."""
