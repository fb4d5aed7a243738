"""Ports that processes share: had alone at first, then with whoever sets SO_REUSEPORT."""

from __future__ import annotations

import socket

import pytest

from wsgateway.errors import StartError
from wsgateway.ports import reserve


def listening(port: int, *, shared: bool) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
    try:
        found.bind(("127.0.0.1", port))
        found.listen()
    except OSError:
        found.close()
        raise
    return found


def test_any_port_is_one_number_that_others_can_share_but_nobody_else_has() -> None:
    reserved = reserve("127.0.0.1", 0, name="public")
    try:
        assert reserved.port
        with pytest.raises(OSError, match="in use"):
            listening(reserved.port, shared=False)
        with listening(reserved.port, shared=True), listening(reserved.port, shared=True):
            pass
    finally:
        reserved.close()
    with listening(reserved.port, shared=False):
        pass


def test_connections_go_to_who_listens_not_to_who_reserved() -> None:
    reserved = reserve("127.0.0.1", 0, name="public")
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", reserved.port))
        with listening(reserved.port, shared=True) as server:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", reserved.port)):
                    server.accept()[0].close()
    finally:
        reserved.close()


def test_a_second_gateway_does_not_share_the_first_ones_port_before_anybody_listens_there_nor_after() -> None:
    first = reserve("127.0.0.1", 0, name="public")
    try:
        with pytest.raises(StartError, match=f"the public listener can't have 127.0.0.1:{first.port}: Address already"):
            reserve("127.0.0.1", first.port, name="public")
        with (
            listening(first.port, shared=True),
            pytest.raises(StartError, match="choose another port"),
        ):
            reserve("127.0.0.1", first.port, name="public")
    finally:
        first.close()


def test_connections_that_were_closed_a_moment_ago_are_no_obstacle() -> None:
    with listening(0, shared=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the side that closes first keeps TIME_WAIT (RFC 9293 §3.6)
    reserve("127.0.0.1", port, name="public").close()


def test_a_name_with_several_addresses_has_one_number_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, 1, 6, "", (f"127.0.0.{last}", 0)) for last in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **flags: both)

    reserved = reserve("localhost", 0, name="public")
    try:
        for host in ("127.0.0.1", "127.0.0.2"):
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind((host, reserved.port))
    finally:
        reserved.close()


def test_what_has_no_address_is_told() -> None:
    with pytest.raises(StartError, match=r"can't have no.such.host.invalid:0: "):
        reserve("no.such.host.invalid", 0, name="internal")
    with pytest.raises(StartError, match=r"can't have 192.0.2.1:8080: Cannot assign"):
        reserve("192.0.2.1", 8080, name="internal")
