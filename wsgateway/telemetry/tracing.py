"""Whether the gateway makes spans, and of which events: what OpenTelemetry's own variables say.

OpenTelemetry specification, "Environment Variable Specification".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from wsgateway.errors import StartError

if TYPE_CHECKING:
    from wsgateway.telemetry.log import Log
    from wsgateway.telemetry.spans import Tracing


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which events have spans: this part of those that begin a trace; others as who began it says, if `parents`."""

    ratio: float
    parents: bool


@dataclass(frozen=True, slots=True)
class Exporter:
    """A way to a collector: the package that goes it, the extra that brings that, and where collectors listen.

    OpenTelemetry protocol exporter, "Configuration options".
    """

    package: str
    extra: str
    url: str

    @property
    def module(self) -> str:
        """What has the exporter of spans."""
        return f"{self.package}.trace_exporter"

    @property
    def installed(self) -> bool:
        """Whether the package is there."""
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # nor what it is in
            return False

    @property
    def mend(self) -> str:
        """How it is installed."""
        return f"pip install 'wsgateway[{self.extra}]'"


EXPORTERS: Final = {
    "http/protobuf": Exporter("opentelemetry.exporter.otlp.proto.http", "otlp", "http://localhost:4318"),
    "grpc": Exporter("opentelemetry.exporter.otlp.proto.grpc", "otlp-grpc", "http://localhost:4317"),
}
"""By what `OTEL_EXPORTER_OTLP_PROTOCOL` says. gRPC has an extra of its own: it takes 19 MB of disk, 23 of memory."""


def tracing_of(environ: Mapping[str, str], version: str, log: Log) -> Tracing | None:
    """Spans as OpenTelemetry's own variables ask for them; None where they ask for none.

    They are exported where `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`), or `OTEL_TRACES_EXPORTER=otlp`,
    says so. *Raises* StartError where that can't be done.
    """
    sampling = asked_for(environ)
    if sampling is None:
        return None
    exporter = exporter_of(environ)
    try:
        from wsgateway.telemetry.spans import Tracing  # the library is an extra, and takes a while

        export = import_module(exporter.module).OTLPSpanExporter()
    except ImportError as error:
        raise StartError(
            f"traces are asked for (OTEL_…), and {error.name} is not installed: {exporter.mend}"
        ) from error
    return Tracing(sampling.ratio, sampling.parents, version, log, export, named="OTEL_SERVICE_NAME" in environ)


def asked_for(environ: Mapping[str, str]) -> Sampling | None:
    """Which events are to have spans; None where nobody wants any. *Raises* StartError for what is not supported."""
    if not _wanted(environ):
        return None
    exporter_of(environ)
    return sampling_of(environ)


def exporter_of(environ: Mapping[str, str]) -> Exporter:
    """How traces go. *Raises* StartError for a way that is not supported."""
    names = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    name = next((name for name in names if environ.get(name)), "")
    protocol = environ.get(name) or "http/protobuf"
    exporter = EXPORTERS.get(protocol)
    if exporter is None:
        raise StartError(f"{name}={protocol} is not supported; write {' or '.join(EXPORTERS)}")
    return exporter


def collector(environ: Mapping[str, str]) -> str:
    """The URL that traces go to (OpenTelemetry protocol exporter, "Configuration options"). *Raises* StartError."""
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return named or exporter_of(environ).url


def sampling_of(environ: Mapping[str, str]) -> Sampling:
    """What `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for. *Raises* StartError."""
    name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    kind = name.removeprefix("parentbased_")
    match kind:
        case "always_on":
            ratio = 1.0
        case "always_off":
            ratio = 0.0
        case "traceidratio":
            text = environ.get("OTEL_TRACES_SAMPLER_ARG") or "1"
            try:
                ratio = float(text)
            except ValueError:
                ratio = -1.0
            if not 0.0 <= ratio <= 1.0:
                raise StartError(f"OTEL_TRACES_SAMPLER_ARG={text} is no part of all traces; write 0 to 1, such as 0.01")
        case _:
            raise StartError(
                f"OTEL_TRACES_SAMPLER={name} is not supported; write always_on, always_off, traceidratio, "
                "or one of them behind parentbased_"
            )
    return Sampling(ratio, kind != name)


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in ("", "otlp", "none"):
        raise StartError(f"OTEL_TRACES_EXPORTER={exporter} is not supported; write otlp or none")
    named = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in named))
