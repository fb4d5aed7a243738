"""NATS: each publication is one message to a subject, its metadata the headers (NATS documentation, "Headers").

A message is acknowledged once the server has it: a PING behind it was answered. Whoever does not subscribe then never
sees it. With `jetstream` it is acknowledged once a stream has stored it, as durably as that stream is set up; the
event's requestId goes along as Nats-Msg-Id, by which a stream drops what comes twice within its duplicate window.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError

from wsgateway.integrations.publish.base import OPEN_SECONDS, Broker, BrokerAway, Outcome, Publication, Refused

if TYPE_CHECKING:
    from asyncio import Future

    from nats.js.api import PubAck

    from wsgateway.upstream.tls import TlsSettings

PING_SECONDS = 5
"""How often an idle link is tried; two that stay without an answer end it."""
MOST_ACKNOWLEDGEMENTS = 1 << 20
"""Of JetStream that may be awaited; what is bounded is bounded before."""
CLOSE_SECONDS = 1.0

_violated = re.compile(r'permissions violation for (publish|subscription) to "?([^"]*)"?')
_REASONS = {
    "authorization violation": "it refuses the user and password",
    "no ssl context": "it asks for TLS; write tls://",
    "maximum connections": "it has as many clients as it takes",
}


class NatsSubjects:
    """The Publisher of NATS: what is sent at once is followed by one PING, and one connection keeps its order."""

    def __init__(self, broker: Broker) -> None:
        self.lost: Callable[[str], None] = _nobody
        self._broker = broker
        self._link: _Link | None = None

    async def open(self) -> None:
        """Connect to the first server that answers, of those the URI names in any order."""
        await self.aclose()
        link = _Link(self._broker, self._ended)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await link.connect()
        except TimeoutError as error:
            raise await self._failed(link, f"no answer within {OPEN_SECONDS:g} s") from error
        except (NatsError, OSError, UnicodeError, ValueError) as error:
            raise await self._failed(link, self._reason(link.said or error)) from error
        except BaseException:
            await link.aclose("")
            raise
        self._link = link

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Outcome | Future[Outcome]]:
        link = self._link
        if link is None:
            raise BrokerAway(f"{self._broker}: the link is gone")
        delivery = asyncio.ensure_future(link.deliver(batch, seconds))
        try:
            await asyncio.wait((delivery, link.gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if delivery.done():
                return delivery.result()
        except (NatsError, OSError, TimeoutError, RuntimeError) as error:  # the last is uvloop's, of a closed transport
            reason = link.gone.result() if link.gone.done() else self._reason(error)
            raise await self._failed(link, reason) from error
        finally:
            delivery.cancel()
        raise await self._failed(link, link.gone.result() if link.gone.done() else f"no answer within {seconds:g} s")

    async def aclose(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.aclose("the gateway closed the link")

    def _ended(self, link: _Link, reason: str) -> None:
        if link is self._link:
            self.lost(f"{self._broker}: {reason}")

    async def _failed(self, link: _Link, reason: str) -> BrokerAway:
        """What to raise; nothing of the link is left."""
        if link is self._link:
            self._link = None
        await link.aclose(reason)
        return BrokerAway(f"{self._broker}: {reason}")

    def _reason(self, error: Exception) -> str:
        """An error in words for an operator."""
        if isinstance(error, TimeoutError):
            return "it says nothing"
        text = " ".join(str(error).removeprefix("nats: ").split()).strip("'")
        for words, reason in _REASONS.items():
            if words in text.lower():
                return reason if self._broker.password or "user" not in reason else "it asks for a user and password"
        return text[:200] or type(error).__name__


class _Link:
    """One connection. nats-py never makes it anew by itself: whether what it held back was sent could not be told."""

    def __init__(self, broker: Broker, ended: Callable[[_Link, str], None]) -> None:
        self.gone: Future[str] = asyncio.get_running_loop().create_future()
        """Why the connection has ended, once it has."""
        self.said: Exception | None = None
        """The last error that nats-py told of."""
        self._broker = broker
        self._name = str(broker)
        self._ended = ended
        self._client = _Client()
        self._jetstream: JetStreamContext = self._client.jetstream(publish_async_max_pending=MOST_ACKNOWLEDGEMENTS)
        self._awaited: set[Future[Outcome]] = set()
        self._forbidden: set[str] = set()
        """Subjects of the batch that is sent, in lower case, that may not be published to."""
        self._unheard = ""
        """Why no acknowledgement of JetStream can be heard."""

    async def connect(self) -> None:
        """*Raises* what nats-py does."""
        broker = self._broker
        secure = None if broker.tls is None else _Secure.by(broker.tls)

        def credential(text: str) -> Callable[[], str]:
            """Told to a server that has proved who it is: one that offers no TLS is told nothing."""

            def tell() -> str:
                if secure is not None:
                    secure.check()
                return text

            return tell

        user, password = broker.username, broker.password
        await self._client.connect(
            servers=[f"{'nats' if secure is None else 'tls'}://{_authority(*host)}" for host in broker.hosts],
            name="wsgateway",
            error_cb=self._heard,
            closed_cb=self._closed,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=max(1, int(OPEN_SECONDS / (2 * len(broker.hosts) - 1))),  # each may be tried twice
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            no_echo=True,
            pending_size=0,  # nothing is kept for a connection that is not there
            tls=secure,
            tls_hostname=None if broker.tls is None else broker.tls.server_name,
            user=None if user is None else credential(user),
            password=None if user is None or password is None else credential(password),
            token=None if user is not None or password is None else credential(password),
        )
        if secure is not None:
            secure.check()

    async def deliver(self, batch: Sequence[Publication], seconds: float) -> list[Outcome | Future[Outcome]]:
        """Write all, and a PING behind them."""
        client = self._client
        self._forbidden.clear()
        outcomes = [await self._write(publication) for publication in batch]
        # nats-py writes a PING past what it has gathered, and gathers until its own task has had a turn.
        for pause in chain(repeat(0.0, 10), repeat(0.005)):
            if not client.pending_data_size:
                break
            await asyncio.sleep(pause)
        await client.rtt(timeout=int(seconds) + 1)
        if not (self._forbidden or self._unheard):
            return outcomes
        return [self._allowed(*each) for each in zip(batch, outcomes, strict=True)]

    async def aclose(self, reason: str) -> None:
        """End it, if it has not."""
        if not self.gone.done():
            self.gone.set_result(reason)
        self._give_up(reason)
        with suppress(TimeoutError, NatsError, OSError, RuntimeError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()

    async def _write(self, publication: Publication) -> Outcome | Future[Outcome]:
        headers = dict(publication.fields)
        if publication.jetstream:
            headers.setdefault("Nats-Msg-Id", headers.get("requestId", ""))
        # The server counts headers, too, and ends the connection of whoever sends more.
        size = (
            14 + sum([len(name) + len(value.encode()) + 4 for name, value in headers.items()]) + len(publication.body)
        )
        if size > self._client.max_payload:
            most = self._client.max_payload
            return Refused(f"{self._name} takes {most} bytes (max_payload), not {size}", transient=False)
        if not publication.jetstream:
            await self._client.publish(publication.name, publication.body, headers=headers)
            return b"{}"
        acknowledgement = await self._jetstream.publish_async(publication.name, publication.body, headers=headers)
        outcome: Future[Outcome] = asyncio.get_running_loop().create_future()
        self._awaited.add(outcome)
        outcome.add_done_callback(partial(self._forget, acknowledgement))
        acknowledgement.add_done_callback(partial(self._acknowledged, outcome, publication.name))
        return outcome

    def _allowed(self, publication: Publication, outcome: Outcome | Future[Outcome]) -> Outcome | Future[Outcome]:
        """The outcome, but for what the server said meanwhile."""
        reason = ""
        if publication.name.lower() in self._forbidden:
            reason = f"the user may not publish to {publication.name}"
        elif publication.jetstream:
            reason = self._unheard
        if not reason:
            return outcome
        if isinstance(outcome, asyncio.Future):
            outcome.cancel()
        return Refused(f"{self._name}: {reason}", transient=False)

    def _forget(self, acknowledgement: Future[PubAck], outcome: Future[Outcome]) -> None:
        self._awaited.discard(outcome)
        acknowledgement.cancel()

    def _acknowledged(self, outcome: Future[Outcome], subject: str, acknowledgement: Future[PubAck]) -> None:
        if not outcome.done() and not acknowledgement.cancelled():
            outcome.set_result(self._meaning(subject, acknowledgement))

    def _meaning(self, subject: str, acknowledgement: Future[PubAck]) -> Outcome:
        error = acknowledgement.exception()
        if error is None:
            stored = acknowledgement.result()
            told: dict[str, object] = {"stream": stored.stream, "sequence": stored.seq}
            if stored.duplicate:
                told["duplicate"] = True
            return json.dumps(told, separators=(",", ":")).encode()
        if isinstance(error, NoStreamResponseError):
            return Refused(f"{self._name}: no stream of JetStream has the subject {subject}")
        reason = error.description if isinstance(error, APIError) else ""
        return Refused(f"{self._name}: JetStream refuses the message: {reason or type(error).__name__}")

    async def _heard(self, error: Exception) -> None:
        self.said = error
        found = _violated.search(str(error).lower())
        if found is None:
            return
        if found[1] == "publish":
            self._forbidden.add(found[2])
        else:
            self._unheard = f"the user may not subscribe to {found[2]}, where JetStream acknowledges"

    async def _closed(self) -> None:
        if self.gone.done():
            return
        reason = str(self.said).removeprefix("nats: ") if self.said is not None else "the connection is gone"
        self.gone.set_result(reason)
        self._give_up(reason)
        self._ended(self, reason)

    def _give_up(self, reason: str) -> None:
        reason = f"{self._name}: {reason}; the message may have been taken all the same"
        for outcome in tuple(self._awaited):
            if not outcome.done():
                outcome.set_result(Refused(reason, result="lost"))


class _Client(Client):
    """nats-py's, whose end leaves nothing behind."""

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """Without a last write of what was gathered: to a connection that is lost it raises, and then nobody is told
        and its tasks stay for good. What was not sent by now is told as failed anyway."""
        self._pending.clear()
        self._pending_data_size = 0
        await super()._close(status, do_cbs)


class _Secure(ssl.SSLContext):
    """A context that knows whether it was used: a server says by itself whether it wants TLS, and so might others."""

    used = False

    @classmethod
    def by(cls, settings: TlsSettings) -> _Secure:
        """*Raises* OSError or ssl.SSLError for files that are missing or hold something else."""
        made = cls(ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.ca_file is None:
            made.load_default_certs()
        else:
            made.load_verify_locations(settings.ca_file)
        if settings.certificate is not None:
            made.load_cert_chain(settings.certificate, settings.key)
        return made

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        self.used = True
        return super().wrap_bio(*arguments, **options)

    def check(self) -> None:
        """*Raises* nats-py's Error where the connection is not by TLS."""
        if not self.used:
            raise NatsError("nats: it offers no TLS; write nats://, or configure TLS there")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _nobody(reason: str) -> None:
    """Nobody owns it yet."""
