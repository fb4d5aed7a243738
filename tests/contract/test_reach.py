"""Whether a backend can be reached: what a connection over which nothing is sent tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import Authority, server_context
from tests.faults import free_port
from tests.harness import PATIENCE, backend
from wsgateway.errors import IntegrationFailure
from wsgateway.upstream.dial import Dialer
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.upstream.reach import reach
from wsgateway.upstream.tls import TlsSettings

pytestmark = pytest.mark.anyio


def dialer(port: int, scheme: str = "http", tls: TlsSettings | None = None) -> Dialer:
    upstream = Upstream(egress=Egress())
    return upstream.origin(scheme, "localhost", port, tls=tls or TlsSettings()).dialer


async def test_one_that_takes_connections_is_sent_nothing() -> None:
    async with backend() as there:
        assert await reach(dialer(there.port)) is None

        assert there.requests == []


async def test_the_end_of_its_certificate_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ends = datetime.now(UTC) + timedelta(days=3)
    secure = server_context(authority.issue_to("localhost", ends=timedelta(days=3)))
    async with backend(secure=secure) as there:
        found = await reach(dialer(there.port, "https", TlsSettings(ca_file=authority.file)))

    assert found is not None
    assert abs(found - ends) < timedelta(minutes=5)


async def test_one_whose_issuer_does_not_matter_tells_no_end(tmp_path: Path) -> None:
    secure = server_context(Authority(tmp_path).issue_to("localhost"))
    async with backend(secure=secure) as there:
        assert await reach(dialer(there.port, "https", TlsSettings(verify=False))) is None


async def test_one_that_wants_a_client_certificate_says_so_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgateway.upstream.reach.SECOND_THOUGHTS", PATIENCE)
    authority = Authority(tmp_path)
    secure = server_context(authority.issue_to("localhost"), authority.file)
    async with backend(secure=secure) as there:
        with pytest.raises(IntegrationFailure, match="asks for a client certificate"):
            await reach(dialer(there.port, "https", TlsSettings(ca_file=authority.file)))


async def test_one_that_is_not_there_is_named() -> None:
    port = free_port()

    with pytest.raises(IntegrationFailure, match=rf"backend http://localhost:{port} refused the connection"):
        await reach(dialer(port))
