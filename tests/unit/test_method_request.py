"""Trace headers of REST requests (AWS X-Ray developer guide, "Tracing header")."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.requests import method_request
from wsgateway.method_request import trace_of

ROOT = b"1-5759e988-bd862e3fe1be46a994272793"
WHOLE = re.compile(rb"Root=[0-9A-Za-z-]{1,64};Parent=[0-9A-Fa-f]{16};Sampled=[01]")


@pytest.mark.parametrize(
    ("header", "goes_on"),
    [
        pytest.param(b"Root=%b" % ROOT, rb"Root=%b;Parent=[0-9a-f]{16};Sampled=0" % ROOT, id="a root"),
        pytest.param(
            b"Root=%b;Parent=53995c3f42cd8ad8" % ROOT,
            rb"Root=%b;Parent=53995c3f42cd8ad8;Sampled=1" % ROOT,
            id="a parent",
        ),
        pytest.param(
            b"sampled=0; parent=53995c3f42cd8ad8 ;root=%b" % ROOT,
            rb"Root=%b;Parent=53995c3f42cd8ad8;Sampled=0" % ROOT,
            id="any order, any case",
        ),
        pytest.param(
            b"Self=1-2-3;Root=%b;Lineage=a:0" % ROOT, rb"Root=%b;Parent=[0-9a-f]{16};Sampled=0" % ROOT, id="more"
        ),
        pytest.param(b"", rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", id="none"),
        pytest.param(b"Root=a b;Sampled=2", rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=.{16};Sampled=0", id="malformed"),
    ],
)
def test_a_trace_goes_on(header: bytes, goes_on: bytes) -> None:
    assert re.fullmatch(goes_on, trace_of(header))


@given(st.binary() | st.from_regex(rb"((Root|Parent|Sampled|x)=[^;]{0,20};){0,5}"))
def test_whatever_comes_the_header_is_whole(header: bytes) -> None:
    assert WHOLE.fullmatch(trace_of(header))


def test_mappings_find_the_headers_that_the_gateway_states_itself() -> None:
    sent = ((b"x-forwarded-for", b"10.0.0.1"), (b"X-Forwarded-Port", b"1"), (b"Connection", b"close"), (b"X-A", b"a"))
    forwarded = b"X-Forwarded-For: 10.0.0.1, 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n"
    request = method_request(headers=(*sent, (b"X-Amzn-Trace-Id", b"Root=%b" % ROOT)), forwarded=forwarded)

    assert request.header("X-Forwarded-For") == request.field("x-forwarded-for") == ["10.0.0.1, 203.0.113.7"]
    assert request.header("x-forwarded-for") == request.header("Connection") == request.field("connection") == []
    assert request.header("X-Amzn-Trace-Id") == [request.trace_id.decode()]
    assert dict(request.headers()) == {
        b"X-A": b"a",
        b"X-Amzn-Trace-Id": request.trace_id,
        b"X-Forwarded-For": b"10.0.0.1, 203.0.113.7",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Port": b"443",
    }
