"""Metrics of who may do what, and how much."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge

ACCESS = Section(
    "Limits and authorization",
    (
        counter(
            "throttled_total",
            "Handshakes, messages, requests and @connections calls beyond a limit, by its level: connection, plan, "
            "user, source, route or method, stage, account, quota (CloudWatch: ClientError).",
            "api",
            "stage",
            "level",
            worry="`stage`, `account`, `route`, `method`: the limits of all; others: single clients",
            act="[throttling](security.md#throttling): raise the limit, or find who "
            "sends so much (log line `a limit is reached`)",
        ),
        gauge(
            "limits_alone",
            "1 while each node holds its share of the limits by itself; only where nodes share them.",
            worry="1 for longer than Redis was away",
            act="[limits across nodes](security.md#across-nodes); `registry_up`",
            join=max,
        ),
        counter(
            "authorizations_total",
            "Handshakes, and requests of REST APIs, by what their authorizer said: allow, deny (403), unauthorized "
            "(401), error; of signatures the "
            "authorizer is AWS_IAM.",
            "api",
            "authorizer",
            "result",
            worry="`error`; or `deny`, `unauthorized` beyond what is usual",
            act="`error`: the authorizer can't be asked, or breaks; else the log's `client not let in` says why",
        ),
        counter(
            "authorizer_lookups_total",
            "Looks for a kept answer of an authorizer, by result: hit or miss.",
            "api",
            "authorizer",
            "result",
            worry="hardly a `hit`",
            act="[kept answers](security.md#kept-answers): identity sources that differ each time, or a short "
            "time to live",
        ),
        gauge(
            "authorizer_answers",
            "Answers of authorizers that are kept.",
            worry="no number by itself is bad",
            act="it is bounded; more answers push the oldest out",
        ),
        counter(
            "session_lookups_total",
            "Questions whose session a token belongs to: found, unknown, failed.",
            "result",
            worry="`failed`",
            act="the [`sessionLookup`](security.md#sessions) can't be reached: signatures with tokens are refused",
        ),
        counter(
            "tickets_total",
            "Tickets made and shown, by what became of them: issued, used, refused; away: they could not be made or "
            "looked up.",
            "result",
            worry="`away`; or `refused` beyond what is usual",
            act="`away`: Redis; `refused`: clients come late, twice, or guess ([tickets](security.md#tickets))",
        ),
        counter(
            "token_refreshes_total",
            "Tokens that clients showed in messages and went on with.",
            worry="it stops, and closes with 4xxx grow",
            act="clients do not [refresh](security.md#when-a-token-runs-out) in time",
        ),
    ),
)
