"""How much an event of the log matters: ERROR, somebody got an error or lost something; WARNING, it needs a look."""

from __future__ import annotations

from typing import Final

USUAL: Final = "INFO"
"""Of all that stand in no table."""

_ERRORS: Final = frozenset(
    {
        "$disconnect dead letter",
        "AWS refuses",
        "asynchronous invocation failed",
        "broker can't be reached",
        "definition refused; the old one stays",
        "drain is over its time",
        "function broke the protocol",
        "function does not start",
        "function over its memory",
        "function process ended",
        "function timed out",
        "integration fails",
        "keys of an issuer can't be fetched",
        "message dead letter",
        "no AWS credentials",
        "no ticket can be made",
        "registry away",
        "rollback refused; the file's content is used",
        "rollback refused; what is executed stays",
        "sessions can't be looked up",
        "unexpected error",
        "worker ended",
        "worker failed",
        "worker is killed: it did not end in time",
    }
)
_WARNINGS: Final = frozenset(
    {
        "$disconnect failed",
        "AWS credentials can't be renewed",
        "a limit is reached",
        "a node without a lease answers, and is not given up",
        "a relayed call is refused: not sealed with this installation's secret",
        "answers can't be kept",
        "broker lost",
        "callback refused",
        "certificate needs care",
        "certificates of domains are not used: no port speaks TLS; give --tls-port",
        "circuit breaker opens",
        "definition needs care",
        "function output dropped",
        "function runtime differs",
        "kept answers can't be had; backends are asked instead",
        "lease was lost and is held again",
        "leaving at once",
        "limits are held by each node's share",
        "new connections are refused",
        "no room for bodies",
        "no room for messages",
        "node can't be relayed to",
        "nodes execute different definitions",
        "nodes on other machines can't reach this one: give --internal-host, or --advertise",
        "quotas: the registry is away, so each node grants its share of what is left",
        "record of a dead node can't be read",
        "taking over from a dead node",
        "the counts of a worker are lost",
        "the development CA can't be kept and is new at every start",
        "the lease is left to run out",
        "the registry was emptied, or is another one: this node's connections are entered anew",
        "this node slept past its lease",
        "too many TCP connections: idle HTTP connections end, else new ones are turned away",
        "traces are not exported",
    }
)
LEVELS: Final = dict.fromkeys(_ERRORS, "ERROR") | dict.fromkeys(_WARNINGS, "WARNING")
"""By event."""
