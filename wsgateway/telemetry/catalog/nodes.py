"""Metrics of many nodes: registry, leases, relays, one definition."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge

NODES = Section(
    "Many nodes",
    (
        gauge(
            "registry_up",
            "0 while Redis can't be used; this and the following only with a registry that several nodes share.",
            worry="0",
            act="bring Redis back: connections stay, new ones are refused or taken by `--redis-away` "
            "([many nodes](operations.md#many-nodes))",
            join=min,
        ),
        counter(
            "registry_outages_total",
            "Times Redis could not be used any more.",
            worry="several a day",
            act="its log, the network, its memory",
        ),
        gauge(
            "nodes",
            "Nodes whose lease runs, this one included, as last read.",
            worry="fewer than were started, or nodes differ in it",
            act="`wsgateway nodes` says which are missing and why",
            join=max,
        ),
        gauge(
            "records",
            "Connections here that others would run $disconnect for.",
            worry="it differs from `connections` for longer than seconds",
            act="Redis is slow or away: `registry_up`, `records_mended_total`",
        ),
        counter(
            "records_mended_total",
            "Records that had to be written or removed anew.",
            worry="it grows by thousands",
            act="Redis forgot: it was emptied, or failed over to a replica that lagged",
        ),
        counter(
            "bad_records_total",
            "What was met in Redis and could not be read: records of another version or another program. It is left "
            "out, and counted each time.",
            worry="any",
            act="who else writes to this Redis, under this prefix?",
        ),
        counter(
            "lease_misses_total",
            "Times this node's lease had run out.",
            worry="any",
            act="the process stood still (`event_loop_lag_seconds`) or Redis was away for longer than `--lease-ttl`",
        ),
        counter(
            "fenced_connections_total",
            "Connections closed because another node had taken them over.",
            worry="any",
            act="as `lease_misses_total`; their clients have to come again",
        ),
        counter(
            "taken_over_total",
            "Connections of dead nodes that this one took over.",
            worry="it grows: a node died",
            act="find out why it did; each `$disconnect` was run",
        ),
        counter(
            "relays_total",
            "Calls passed on to the node of their connection, by the status their caller heard.",
            "status",
            worry="503",
            act="[calls between nodes](operations.md#calls-between-nodes)",
        ),
        counter(
            "relay_503_total",
            "Calls answered 503 for nobody could say what became of them, by cause.",
            "cause",
            worry="any for longer than a node takes to be replaced",
            act="the [cause](operations.md#calls-between-nodes) says whose fault it is",
        ),
        counter(
            "relayed_in_total",
            "Calls that other nodes passed on, by status; 403 for a wrong seal, 421 for another node's.",
            "status",
            worry="403, 421",
            act="403: nodes have different secrets, or strangers call; 421: `--advertise` names another node",
        ),
        gauge(
            "definitions",
            "Different definitions that the living nodes execute.",
            worry="more than 1 for longer than a rollout",
            act="see `definition_mismatch`",
            join=max,
        ),
        gauge(
            "definition_mismatch",
            "1 while nodes have differed for over 5 seconds.",
            worry="1 for longer than a rollout",
            act="the log's `nodes execute different definitions` names them "
            "([one definition](operations.md#one-definition))",
            join=max,
        ),
        gauge(
            "definition_rolled_back",
            "1 while another deployment is used in place of what the file says.",
            worry="1, and nobody knows of it",
            act="`wsgateway deployments ls`; end it by using the file's ([deployments](operations.md#deployments))",
            join=max,
        ),
        counter(
            "definition_records_ignored_total",
            "What the registry held of deployments and could not be trusted.",
            worry="any",
            act="another secret, or another program, writes there ([deployments](operations.md#deployments))",
        ),
    ),
)
