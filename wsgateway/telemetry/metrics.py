"""`/metrics`: the node's plain integers as Prometheus samples, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from wsgateway.telemetry.base import MembershipFacts, NodeFacts

_Key = TypeVar("_Key", bound=tuple[str, ...])

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    def __init__(self, facts: Callable[[], NodeFacts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts()
        yield _gauge("connections", "Open WebSocket connections.", facts.connections)
        yield _gauge("connections_limit", "Connections at which new handshakes get 503.", facts.connections_limit)
        yield _gauge("draining", "1 while the node drains.", facts.draining)
        yield _gauge("definition_valid", "0 while the definition file last read was refused.", facts.definition_valid)
        yield _gauge(
            "definition_rolled_back",
            "1 while another deployment is used in place of what the file says.",
            facts.definition_rolled_back,
        )
        yield _gauge("definitions", "Different definitions that the living nodes execute.", facts.definitions)
        yield _gauge(
            "definition_mismatch", "1 while nodes have differed for over 5 seconds.", facts.definition_mismatch
        )
        yield _counter(
            "definition_records_ignored_total",
            "What the registry held of deployments and could not be trusted.",
            facts.definition_records_ignored,
        )
        yield _gauge("disconnects_running", "$disconnect calls that have not ended.", facts.disconnects_running)
        yield _gauge("tails", "Readers of `connections tail`.", facts.tails)
        yield _labelled(
            "connects_total", "Handshakes by status; 101 opened (CloudWatch: ConnectCount).", "result", facts.connects
        )
        yield _labelled("disconnects_total", "Closed connections by close code class.", "code_class", facts.disconnects)
        yield _labelled(
            "messages_total", "Messages by direction (CloudWatch: MessageCount).", "direction", facts.messages
        )
        yield _counter(
            "compressed_connections_total", "Connections that negotiated compression.", facts.compressed_connections
        )
        yield _labelled(
            "compressed_messages_total", "Messages that were compressed.", "direction", facts.compressed_messages
        )
        yield _labelled(
            "compressed_bytes_total", "What compressed messages took on the wire.", "direction", facts.compressed_bytes
        )
        yield _labelled(
            "compressed_payload_bytes_total",
            "What compressed messages stand for.",
            "direction",
            facts.compressed_payload_bytes,
        )
        yield _labelled("pushes_total", "POSTs to @connections by status.", "status", facts.pushes)
        requests = CounterMetricFamily(
            "wsgateway_rest_requests_total",
            "Requests of REST APIs by status (CloudWatch: Count, 4XXError, 5XXError).",
            labels=["api", "stage", "status"],
        )
        for labels, number in sorted(facts.requests.items()):
            requests.add_metric(labels, number)
        yield requests
        errors = CounterMetricFamily(
            "wsgateway_message_errors_total",
            "Messages answered with an error frame (CloudWatch: ClientError, ExecutionError).",
            labels=["api", "route", "type"],
        )
        for labels, number in sorted(facts.message_errors.items()):
            errors.add_metric(labels, number)
        yield errors
        yield _labelled("integration_failures_total", "Calls of backends that failed, by kind.", "kind", facts.failures)
        yield from _resilience(facts)
        yield _labelled("function_invocations_total", "Invocations of local functions.", "function", facts.invocations)
        yield _labelled(
            "function_cold_starts_total", "Processes of local functions started.", "function", facts.cold_starts
        )
        yield _labelled(
            "function_throttles_total", "Invocations refused for want of a process.", "function", facts.throttles
        )
        calls = CounterMetricFamily(
            "wsgateway_lambda_calls_total", "Calls of Lambda functions elsewhere.", labels=["function", "result"]
        )
        for call, number in sorted(facts.lambda_calls.items()):
            calls.add_metric(call, number)
        yield calls
        calls = CounterMetricFamily(
            "wsgateway_aws_calls_total", "Calls of services of AWS.", labels=["service", "action", "result"]
        )
        for labels, number in sorted(facts.aws_calls.items()):
            calls.add_metric(labels, number)
        yield calls
        yield from _brokers(facts)
        if facts.credentials_valid is not None:
            yield _gauge(
                "aws_credentials_valid",
                "0 while AWS credentials are missing or can't be renewed.",
                facts.credentials_valid,
            )
        yield _labelled(
            "session_lookups_total", "Questions whose session a token belongs to.", "result", facts.session_lookups
        )
        yield _labelled("closed_by_gateway_total", "Connections the gateway gave up on.", "cause", facts.given_up)
        yield _labelled("refused_total", "Malformed or surplus input by kind.", "kind", facts.refused)
        yield _counter("disconnect_failures_total", "$disconnect calls that failed.", facts.disconnect_failures)
        yield _counter("disconnect_retries_total", "$disconnect calls made again.", facts.disconnect_retries)
        yield _gauge("disconnects_waiting", "$disconnects that failed and are tried again.", facts.disconnects_waiting)
        yield _counter("dead_letters_total", "$disconnects that were given up.", facts.dead_letters)
        yield _counter("unexpected_errors_total", "Faults of the gateway's own; each has a log line.", facts.unexpected)
        yield _counter("reload_failures_total", "Definition files that were refused.", facts.reload_failures)
        yield _counter("log_lines_dropped_total", "Log lines a slow sink did not take.", facts.log_dropped)
        ends = GaugeMetricFamily(
            "wsgateway_certificate_expires_timestamp_seconds",
            'When each certificate ends, by custom domain; the default one\'s is "".',
            labels=["domain"],
        )
        for domain, end in sorted(facts.certificates.items()):
            ends.add_metric([domain], end)
        yield ends
        turned_away = CounterMetricFamily(
            "wsgateway_admission_refused_total",
            "New connections refused before $connect (CloudWatch: ClientError).",
            labels=["api", "cause"],
        )
        for where, number in sorted(facts.admission_refused.items()):
            turned_away.add_metric(where, number)
        yield turned_away
        throttled = CounterMetricFamily(
            "wsgateway_throttled_total",
            "Handshakes, messages and @connections calls beyond a limit (CloudWatch: ClientError).",
            labels=["api", "stage", "level"],
        )
        for limited, number in sorted(facts.throttled.items()):
            throttled.add_metric(limited, number)
        yield throttled
        if facts.limits_alone is not None:
            yield _gauge("limits_alone", "1 while limits are held by each node's share.", facts.limits_alone)
        yield _counter(
            "token_refreshes_total", "Tokens that clients showed in messages and went on with.", facts.token_refreshes
        )
        yield _labelled(
            "tickets_total",
            "Tickets made and shown, by what became of them; away: nobody knows.",
            "result",
            facts.tickets,
        )
        yield _table(
            "authorizations_total",
            "Handshakes by what their authorizer said: allow, deny, unauthorized, error.",
            ["api", "authorizer", "result"],
            facts.authorizations,
        )
        yield _table(
            "authorizer_lookups_total",
            "Looks for a kept answer of an authorizer, by result: hit or miss.",
            ["api", "authorizer", "result"],
            facts.authorizer_lookups,
        )
        yield _gauge("authorizer_answers", "Answers of authorizers that are kept.", facts.authorizer_answers)
        yield _labelled(
            "relays_total", "Calls passed on to the node of their connection, by status.", "status", facts.relays
        )
        yield _labelled(
            "relay_503_total",
            "Calls answered 503 for nobody could say what became of them.",
            "cause",
            facts.relay_doubts,
        )
        yield _labelled("relayed_in_total", "Calls that other nodes passed on, by status.", "status", facts.relayed_in)
        if facts.membership is not None:
            yield from _membership(facts.membership)
        info = GaugeMetricFamily("wsgateway_build_info", "The running version.", labels=["version"])
        info.add_metric([facts.version], 1)
        yield info


class Metrics:
    """Renders the samples of one node, with the process's own (memory, CPU, file descriptors).

    `shown` is told of every page before it is seen.
    """

    def __init__(self, facts: Callable[[], NodeFacts], shown: Callable[[bytes], None] | None = None) -> None:
        self._shown = shown
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(facts))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self) -> bytes:
        page = generate_latest(self._registry)
        if self._shown is not None:
            self._shown(page)
        return page


def _brokers(facts: NodeFacts) -> Iterator[Metric]:
    publishes = CounterMetricFamily(
        "wsgateway_publishes_total",
        "Messages handed to brokers by PUBLISH integrations, by what became of them.",
        labels=["api", "integration", "result"],
    )
    for key, number in sorted(facts.publishes.items()):
        publishes.add_metric(key, number)
    yield publishes
    pending = GaugeMetricFamily(
        "wsgateway_publishes_pending",
        "Messages whose broker has not answered yet.",
        labels=["api", "integration"],
    )
    for use, number in sorted(facts.publishes_pending.items()):
        pending.add_metric(use, number)
    yield pending
    up = GaugeMetricFamily("wsgateway_broker_up", "0 while a broker can't be reached.", labels=["broker"])
    for broker, linked in sorted(facts.brokers.items()):
        up.add_metric([broker], linked)
    yield up


def _resilience(facts: NodeFacts) -> Iterator[Metric]:
    integration = ["api", "integration"]
    yield _table("integration_retries_total", "Calls of backends made again.", integration, facts.retries)
    yield _gauge("integration_retries_waiting", "Calls that wait for another attempt.", facts.retries_waiting)
    states = GaugeMetricFamily(
        "wsgateway_circuit_breaker_state",
        "Of each backend: 0 closed, 1 half-open, 2 open.",
        labels=[*integration, "backend"],
    )
    for labels, state in sorted(facts.breakers.items()):
        states.add_metric(labels, state)
    yield states
    yield _table("circuit_breaker_opened_total", "Times a breaker opened.", integration, facts.breakers_opened)
    yield _table(
        "circuit_breaker_refused_total", "Calls that open breakers refused.", integration, facts.breakers_refused
    )
    yield _table("message_dead_letters_total", "Messages lost for good.", ["api", "route"], facts.message_dead_letters)


def _membership(facts: MembershipFacts) -> Iterator[Metric]:
    yield _gauge("registry_up", "0 while Redis can't be used.", facts.registry_up)
    yield _counter("registry_outages_total", "Times Redis could not be used any more.", facts.registry_outages)
    yield _gauge("nodes", "Nodes whose lease runs, this one included, as last read.", facts.nodes)
    yield _gauge("records", "Connections of this node whose $disconnect others would run.", facts.records)
    yield _counter("records_mended_total", "Records that Redis had lost, or kept for too long.", facts.records_mended)
    yield _counter("bad_records_total", "What was met in Redis and could not be read.", facts.bad_records)
    yield _counter("lease_misses_total", "Times this node's lease had run out.", facts.lease_misses)
    yield _counter(
        "fenced_connections_total", "Connections closed because another node had taken them over.", facts.fenced
    )
    yield _counter("taken_over_total", "Connections of dead nodes that this one took over.", facts.taken_over)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wsgateway_{name}", text, value=value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"wsgateway_{name}", text, value=value)


def _table(name: str, text: str, labels: list[str], values: Mapping[_Key, int]) -> Metric:
    family = CounterMetricFamily(f"wsgateway_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"wsgateway_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
