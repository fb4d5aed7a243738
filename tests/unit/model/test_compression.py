"""The keys of `compression`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.model import resolve
from wsgateway.model.compression import Compression
from wsgateway.model.quotas import Limits

FaultsIn = Callable[..., list[str]]


def test_the_usual_settings_keep_nothing_between_messages() -> None:
    compression = Compression.model_validate({})

    assert compression.minimum_compression_size == 1024
    assert compression.server_no_context_takeover
    assert compression.client_no_context_takeover
    assert (compression.server_max_window_bits, compression.client_max_window_bits) == (12, 12)
    assert resolve("open", Limits()).compression is None
    assert resolve("open", Limits(), compression).compression is compression


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("compression: {}", id="all as usual"),
        pytest.param("compression: {minimumCompressionSize: 0, serverNoContextTakeover: false}", id="some set"),
        pytest.param("compression: {serverMaxWindowBits: 15, clientMaxWindowBits: 9}", id="windows"),
    ],
)
def test_what_works(lines: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            "profile: aws\ncompression: {}",
            "compression: the aws profile negotiates no extension, as on AWS; remove it or use profile: open",
            id="on AWS there is none",
        ),
        pytest.param("compression: ", "compression: is empty; give it a value or remove it", id="nothing behind it"),
        pytest.param("compression: true", "compression: expected a mapping, got true", id="a switch"),
        pytest.param(
            "compression: {minimumCompressionSize: -1}",
            "compression.minimumCompressionSize: -1 is too small; it must be at least 0",
            id="less than nothing",
        ),
        pytest.param(
            "compression: {minimumCompressionSize: 10485761}",
            "compression.minimumCompressionSize: 10485761 is too large; it must be at most 10485760",
            id="more than AWS allows",
        ),
        pytest.param(
            "compression: {serverMaxWindowBits: 8}",
            "compression.serverMaxWindowBits: 8 is too small; it must be at least 9",
            id="a window zlib can't have",
        ),
        pytest.param(
            "compression: {clientMaxWindowBits: 16}",
            "compression.clientMaxWindowBits: 16 is too large; it must be at most 15",
            id="a window there is not",
        ),
        pytest.param(
            "compression: {serverNoContextTakeover: 'yes'}",
            "compression.serverNoContextTakeover: expected true or false, got the string yes",
            id="a word",
        ),
        pytest.param(
            "compression: {minimumCompresionSize: 1}",
            "compression.minimumCompresionSize: unknown key; did you mean minimumCompressionSize?",
            id="a typing error",
        ),
    ],
)
def test_what_is_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == [said]
