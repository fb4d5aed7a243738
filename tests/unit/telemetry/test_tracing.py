"""Which events have spans, and where they belong (W3C Trace Context; AWS X-Ray developer guide, "Tracing header")."""

from __future__ import annotations

import sys

import pytest

from tests.unit.dataplane.values import connecting, handshake, message
from wsgateway.errors import StartError
from wsgateway.integrations.base import carried
from wsgateway.telemetry import spans as spans_module
from wsgateway.telemetry.spans import ROOT, Parent, Tracing
from wsgateway.telemetry.tracing import Exporter, Sampling, collector, exporter_of, sampling_of, tracing_of
from wsgateway.trace import Mark, Trace, Traces

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled="
BELOW = Parent(int(TRACE, 16), int(SPAN, 16))


class Told(Trace):
    def __init__(self, mark: Mark | None) -> None:
        self._mark = mark
        self.marks = mark is not None

    @property
    def mark(self) -> Mark | None:
        return self._mark

    def note(self, step: str, value: object) -> None:
        pass


def log(event: str, **facts: object) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        pytest.param("", "", Sampling(1.0, True), id="absent"),
        pytest.param("always_off", "", Sampling(0.0, False), id="off"),
        pytest.param("traceidratio", "0.01", Sampling(0.01, False), id="a part"),
        pytest.param("parentbased_traceidratio", "0.5", Sampling(0.5, True), id="a part of what has no parent"),
        pytest.param("parentbased_always_off", "", Sampling(0.0, True), id="only what others sample"),
    ],
)
def test_which_events_are_sampled_is_said_by_the_environment(name: str, argument: str, expected: Sampling) -> None:
    assert sampling_of({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}) == expected


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"OTEL_TRACES_SAMPLER": "xray"}, id="sampler"),
        pytest.param({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"}, id="no number"),
        pytest.param({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, id="nan"),
        pytest.param({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, id="more than all"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, id="protocol"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, id="protocol of traces"),
        pytest.param({"OTEL_TRACES_EXPORTER": "zipkin"}, id="exporter"),
    ],
)
def test_what_is_not_supported_is_told_at_start(environ: dict[str, str]) -> None:
    with pytest.raises(StartError, match=next(reversed(environ)) + "=.* (?:is not supported|is no part)"):
        tracing_of({"OTEL_TRACES_EXPORTER": "otlp"} | environ, "0", log)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, id="disabled"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, id="none"),
    ],
)
def test_without_a_word_there_are_none(environ: dict[str, str]) -> None:
    assert tracing_of(environ, "0", log) is None  # type: ignore[arg-type]


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsgateway.telemetry.spans", None)
    with pytest.raises(StartError, match=r"pip install 'wsgateway\[otlp\]'"):
        tracing_of({"OTEL_TRACES_EXPORTER": "otlp"}, "0", log)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ", "package", "url"),
    [
        pytest.param({}, "http", "http://localhost:4318", id="default"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "http", "http://localhost:4318", id="empty"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http", "http://localhost:4318", id="HTTP"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", "http://localhost:4317", id="gRPC"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "grpc",
            "http://localhost:4317",
            id="of traces another",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"},
            "grpc",
            "http://a:1",
            id="an endpoint",
        ),
    ],
)
def test_how_traces_go_is_said_by_the_environment(environ: dict[str, str], package: str, url: str) -> None:
    assert exporter_of(environ).package.rpartition(".")[2] == package
    assert exporter_of(environ).installed
    assert collector(environ) == url


def test_without_the_package_of_the_protocol_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    for module in ("opentelemetry.exporter.otlp.proto.grpc", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StartError, match=r"is not installed: pip install 'wsgateway\[otlp-grpc\]'"):
        tracing_of(environ, "0", log)  # type: ignore[arg-type]
    assert not Exporter("opentelemetry.exporter.nowhere", "", "").installed


def tracing(ratio: float, *, parents: bool) -> Tracing:
    made = Tracing.__new__(Tracing)  # without an exporter
    made.ratio, made._parents = ratio, parents
    return made


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"traceparent": f"00-{TRACE}-{SPAN}-01"}, BELOW, id="sampled"),
        pytest.param({"traceparent": f"00-{TRACE}-{SPAN}-00"}, None, id="not sampled"),
        pytest.param({"traceparent": f"cc-{TRACE}-{SPAN}-01-more"}, BELOW, id="a later version"),
        pytest.param({"X-Amzn-Trace-Id": f"{XRAY}1"}, BELOW, id="X-Ray's"),
        pytest.param({"X-Amzn-Trace-Id": f"{XRAY}0"}, None, id="not"),
        pytest.param({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, ROOT, id="no trace"),
        pytest.param({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, ROOT, id="no span"),
        pytest.param({"traceparent": f"ff-{TRACE}-{SPAN}-01"}, ROOT, id="a version that there can't be"),
        pytest.param({"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"}, ROOT, id="capitals"),
        pytest.param({"traceparent": ""}, ROOT, id="empty"),
        pytest.param({"X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793"}, ROOT, id="a root alone"),
    ],
)
def test_what_a_request_says_decides(headers: dict[str, str], expected: Parent | None) -> None:
    request = handshake("/dev", *headers.items())
    assert tracing(1.0, parents=True).parent(request) == expected
    assert tracing(1.0, parents=False).parent(request) is ROOT
    assert tracing(0.0, parents=False).parent(request) is None


def test_a_message_has_no_parent() -> None:
    assert tracing(1.0, parents=True).parent(None) is ROOT
    assert tracing(0.0, parents=True).parent(None) is None


MARK = Mark(f"00-{TRACE}-{SPAN}-01".encode(), b"Root=1-x;Parent=y;Sampled=1")


def test_a_request_goes_on_with_the_trace_and_no_other() -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTraceParent: old\r\ntracestate: x=y\r\n"
        b"X-Amzn-Trace-Id: Root=1\r\nA: traceparent: b\r\n"
    )
    event = message("{}")
    assert carried(event, head) == head
    event.trace = Traces(Told(None), Told(MARK))
    assert carried(event, head) == (
        b"POST / HTTP/1.1\r\nHost: a\r\nA: traceparent: b\r\ntraceparent: %b\r\nX-Amzn-Trace-Id: %b\r\n" % MARK
    )
    assert event.trace_id == MARK.amzn


def test_a_function_is_told_the_trace() -> None:
    event = connecting("/dev", ("X-Amzn-Trace-Id", "Root=1-client"))
    assert event.trace_id == b"Root=1-client"
    event.trace = Told(MARK)
    assert event.trace_id == MARK.amzn


def test_a_trace_id_begins_with_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module.time, "time", lambda: 0x5759E988 + 0.5)
    assert f"{spans_module.Ids().generate_trace_id():032x}".startswith("5759e988")
