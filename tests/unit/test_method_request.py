"""Trace headers of REST requests (AWS X-Ray developer guide, "Tracing header")."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
