"""Authorized: what tokens and throttles leave of the rate of an open API, at handshakes and at messages.

Three gateways with one Redis: an open one, one that asks for a token, and one that counts each message on every level
there is, besides.
"""

from dataclasses import dataclass
from functools import partial

from loadtest import redis
from loadtest.bench import Bench, Options
from loadtest.issuer import AUDIENCE, Issuer, issuer
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.quartiles import Quartiles
from loadtest.results import Row
from loadtest.scenarios.versus import versus

LIMIT = "rateLimit: 1000000, burstLimit: 1000000"
THROTTLES = f"""\
        throttle: {{{LIMIT}, perConnection: {{{LIMIT}}}, perUser: {{{LIMIT}}}, perSource: {{{LIMIT}}}}}
        defaultRouteSettings: {{throttlingRateLimit: 1000000, throttlingBurstLimit: 1000000}}
"""
ACCOUNT = f"account: {{throttle: {{{LIMIT}}}}}\n"
AUTHORIZER = """\
    authorizers:
      users:
        authorizerType: JWT
        identitySource: [route.request.querystring.token]
        jwtConfiguration: {issuer: "@issuer@", audience: [@audience@]}
"""
DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages:
      dev:
        stageVariables: {backend: "@backend@"}
@throttles@@authorizers@\
    integrations:
      accept:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode":200}'}
      backend:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
    routes:
      $connect: {integration: accept@authorizer@}
      send: {integration: backend, routeResponse: true}
"""
OPEN, SIGNED, GUARDED = "open", "JWT", "JWT and throttles"
SUBJECT = "ann"
HANDSHAKES, MESSAGES = 0.5, 0.9
ROUND_TRIPS = 0.02
"""To Redis, for one message, at most; with one for each it would be 1."""
ROUND = 1000


@dataclass(frozen=True, slots=True)
class Gateways:
    """The three, and how their clients come in."""

    lab: Lab
    servers: dict[str, Server]
    path: str
    """Of all: the open one is sent the token, too, so that it reads as much."""
    redis_port: int


class Authorized:
    """Handshakes with a token, then messages with limits too, each beside the open ones."""

    name = "authorized"
    about = "handshakes with a JWT and throttled messages against an open API"

    def steps(self, options: Options) -> int:
        """Two a pair, at handshakes and at messages."""
        return 4 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        with issuer() as signer, bench.lab() as lab:
            gateways = _gateways(lab, signer)
            for label in gateways.servers:  # the keys of the issuer are there, and processes are warm
                _connect(bench, gateways, label, connections=100, seconds=0.1)
            handshakes = {label: partial(_connect, bench, gateways, label) for label in (OPEN, SIGNED)}
            rows = versus(bench, f"{self.name} handshakes", handshakes, unit="handshakes", threshold=HANDSHAKES)
            asked: list[float] = []
            messages = {
                OPEN: partial(_relay, bench, gateways, OPEN),
                GUARDED: partial(_counted, bench, gateways, asked),
            }
            rows += versus(bench, f"{self.name} relay", messages, unit="messages", threshold=MESSAGES)
            return [*rows, *_round_trips(self.name, asked)]


def _gateways(lab: Lab, signer: Issuer) -> Gateways:
    url = lab.redis()
    address = f"127.0.0.1:{lab.backend().port}"
    plain = {"@backend@": address, "@throttles@": "", "@authorizers@": "", "@authorizer@": ""}
    signed = plain | {
        "@authorizers@": AUTHORIZER.replace("@issuer@", signer.url).replace("@audience@", AUDIENCE),
        "@authorizer@": ", authorizer: users",
    }
    definitions = {
        OPEN: _filled(DEFINITION, plain),
        SIGNED: _filled(DEFINITION, signed),
        GUARDED: _filled(ACCOUNT + DEFINITION, signed | {"@throttles@": THROTTLES}),
    }
    return Gateways(
        lab=lab,
        servers={
            label: lab.gateway(definition, "--redis-url", url, "--redis-prefix", f"gateway{number}")
            for number, (label, definition) in enumerate(definitions.items())
        },
        path=f"/dev?token={signer.token(SUBJECT)}",
        redis_port=redis.port_of(url),
    )


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _connect(
    bench: Bench, gateways: Gateways, label: str, connections: int | None = None, seconds: float | None = None
) -> Sample:
    options = bench.options
    words = {
        "--path": gateways.path,
        "--connections": connections or options.connections or ROUND,
        "--seconds": seconds or options.seconds,
        "--warmup": options.warmup,
    }
    limit = 120 + options.warmup + 30 * options.seconds
    return drive(gateways.lab, gateways.servers[label], "connect", flags(words), limit)


def _relay(bench: Bench, gateways: Gateways, label: str) -> Sample:
    options = bench.options
    words = {
        "--path": gateways.path,
        "--connections": options.connections or 64,
        "--depth": options.depth,
        "--size": options.size,
        "--seconds": options.seconds,
        "--warmup": options.warmup,
        "--action": "send",
        "--expect": '"action":"send"',
    }
    return drive(gateways.lab, gateways.servers[label], "load", flags(words), 120 + options.warmup + options.seconds)


def _counted(bench: Bench, gateways: Gateways, asked: list[float]) -> Sample:
    """One run of the guarded gateway; `asked` gets the round trips to Redis for each message.

    Those of handshakes, of leases, of the warm-up and of the other gateway are in them: it is too much, if anything.
    """
    before = redis.reads(gateways.redis_port)
    sample = _relay(bench, gateways, GUARDED)
    asked.append((redis.reads(gateways.redis_port) - before) / sample.completed)
    return sample


def _round_trips(name: str, asked: list[float]) -> list[Row]:
    found = Quartiles.of(asked)
    return [
        Row(
            scenario=f"{name} relay",
            server="Redis",
            measure="round trips a message",
            value=found,
            runs=len(asked),
            target=f"≤ {ROUND_TRIPS:g}",
            met=found.median <= ROUND_TRIPS,
            rss={},
        )
    ]


AUTHORIZED = Authorized()
