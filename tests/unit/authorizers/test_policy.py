"""IAM user guide, "Policy evaluation logic", "IAM JSON policy elements"; API Gateway developer guide, "Control access
to an API with IAM permissions"."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.authorizers.conditions import OPERATORS
from wsgateway.authorizers.policy import Decision, compile_policy, faults_of
from wsgateway.authorizers.policy_elements import PolicyError

INVOKE = "execute-api:Invoke"
CONNECT = "arn:aws:execute-api:eu-west-1:123456789012:abc/prod/$connect"
ALLOW, DENY, NOTHING = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY


def statement(effect: str = "Allow", resource: Any = "*", action: Any = INVOKE, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def decide(*statements: dict[str, Any], keys: dict[str, list[str]] | None = None) -> Decision:
    return compile_policy({"Version": "2012-10-17", "Statement": list(statements)}).decide(INVOKE, CONNECT, keys)


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        pytest.param([], NOTHING, id="no statement"),
        pytest.param([statement()], ALLOW, id="everything allowed"),
        pytest.param([statement(resource=CONNECT)], ALLOW, id="this very route"),
        pytest.param([statement(resource=CONNECT.lower().replace("abc", "ABC"))], NOTHING, id="resources have a case"),
        pytest.param([statement(action="EXECUTE-API:invoke")], ALLOW, id="actions have none"),
        pytest.param([statement(action="execute-api:*")], ALLOW, id="a star in the action"),
        pytest.param([statement(action="*")], ALLOW, id="every action"),
        pytest.param([statement(action="execute-api:ManageConnections")], NOTHING, id="another action"),
        pytest.param([statement(resource="arn:aws:execute-api:*:*:abc/*")], ALLOW, id="stars in the resource"),
        pytest.param([statement(resource="arn:aws:execute-api:*:*:abc/prod/$c?nnect")], ALLOW, id="one character"),
        pytest.param([statement(resource="arn:aws:execute-api:*:*:abc/dev/*")], NOTHING, id="another stage"),
        pytest.param([statement(resource="arn:aws:execute-api")], ALLOW, id="all that begins so"),
        pytest.param([statement(resource="arn:aws:execute-api:eu-west-1:999999999999")], NOTHING, id="not that"),
        pytest.param([statement(resource="arn:aws:execute-api:*")], ALLOW, id="a star goes over colons"),
        pytest.param([statement(resource="*/prod/$connect")], ALLOW, id="a star first"),
        pytest.param([statement(resource=CONNECT + "*")], ALLOW, id="a star for nothing"),
        pytest.param([statement(resource=CONNECT + "?")], NOTHING, id="a question mark for nothing"),
        pytest.param([statement(action="execute-api:In?oke")], ALLOW, id="one character of the action"),
        pytest.param([statement(action=["s3:*", "execute-api:Inv*"])], ALLOW, id="one of several actions"),
        pytest.param([statement(resource=["arn:x", CONNECT])], ALLOW, id="one of several resources"),
        pytest.param([statement("Deny"), statement()], DENY, id="deny first"),
        pytest.param([statement(), statement("Deny")], DENY, id="deny last"),
        pytest.param([statement(), statement("Deny", resource="arn:x")], ALLOW, id="a deny of something else"),
        pytest.param(
            [{"Effect": "Allow", "NotAction": INVOKE, "Resource": "*"}], NOTHING, id="NotAction leaves it out"
        ),
        pytest.param([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], ALLOW, id="NotAction, another"),
        pytest.param([{"Effect": "Allow", "Action": "*", "NotResource": "arn:x"}], ALLOW, id="NotResource, another"),
        pytest.param([{"Effect": "Allow", "Action": "*", "NotResource": ["arn:x", CONNECT]}], NOTHING, id="this one"),
    ],
)
def test_a_decision(statements: list[dict[str, Any]], decision: Decision) -> None:
    assert decide(*statements) is decision


def test_the_old_version_has_no_variables() -> None:
    policy = {"Version": "2008-10-17", "Statement": statement(resource=CONNECT + "${x}")}

    assert compile_policy(policy).decide(INVOKE, CONNECT + "${x}") is ALLOW


def test_one_statement_needs_no_list() -> None:
    policy = compile_policy({"Statement": statement()})

    assert policy.decide(INVOKE, CONNECT) is ALLOW


@pytest.mark.parametrize(
    ("condition", "keys", "holds"),
    [
        pytest.param({"StringEquals": {"aws:UserAgent": "a"}}, {"aws:useragent": ["a"]}, True, id="equal"),
        pytest.param({"StringEquals": {"aws:UserAgent": ["b", "a"]}}, {"aws:useragent": ["a"]}, True, id="one of two"),
        pytest.param({"StringEquals": {"aws:UserAgent": "a"}}, {}, False, id="the key is missing"),
        pytest.param({"StringEqualsIfExists": {"aws:UserAgent": "a"}}, {}, True, id="missing, IfExists"),
        pytest.param({"StringNotEquals": {"aws:UserAgent": "a"}}, {}, True, id="missing, negated"),
        pytest.param({"StringNotEquals": {"aws:UserAgent": ["a", "b"]}}, {"aws:useragent": ["b"]}, False, id="neither"),
        pytest.param({"StringLike": {"aws:UserAgent": "Mo*/5.?"}}, {"aws:useragent": ["Mozilla/5.0"]}, True, id="like"),
        pytest.param({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": ["10.9.8.7"]}, True, id="inside"),
        pytest.param(
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"aws:sourceip": ["::ffff:10.1.1.1"]},
            True,
            id="IPv4 in IPv6",
        ),
        pytest.param(
            {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]}}, {"aws:sourceip": ["::1"]}, False, id="kept out"
        ),
        pytest.param({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": ["x"]}, False, id="no address"),
        pytest.param({"Bool": {"aws:SecureTransport": True}}, {"aws:securetransport": ["true"]}, True, id="true"),
        pytest.param({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": ["true"]}, False, id="false"),
        pytest.param({"NumericLessThan": {"a:b": 10}}, {"a:b": ["9.5"]}, True, id="less"),
        pytest.param({"NumericGreaterThanEquals": {"a:b": "10"}}, {"a:b": ["9"]}, False, id="not as much"),
        pytest.param(
            {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
            {"aws:currenttime": ["2026-12-31T23:59:59Z"]},
            True,
            id="before",
        ),
        pytest.param({"DateGreaterThan": {"aws:EpochTime": 1000}}, {"aws:epochtime": ["999"]}, False, id="after"),
        pytest.param({"StringEqualsIgnoreCase": {"a:b": "ANN"}}, {"a:b": ["ann"]}, True, id="in any case"),
        pytest.param({"StringNotEqualsIgnoreCase": {"a:b": "ANN"}}, {"a:b": ["ann"]}, False, id="in no case"),
        pytest.param({"StringNotLike": {"a:b": ["x*", "y*"]}}, {"a:b": ["yes"]}, False, id="like one of them"),
        pytest.param({"StringNotLike": {"a:b": "x*"}}, {"a:b": ["yes"]}, True, id="unlike"),
        pytest.param({"NumericEquals": {"a:b": "10"}}, {"a:b": ["10.0"]}, True, id="the same number"),
        pytest.param({"NumericNotEquals": {"a:b": 10}}, {"a:b": ["10"]}, False, id="not another number"),
        pytest.param({"NumericLessThanEquals": {"a:b": 10}}, {"a:b": ["ten"]}, False, id="no number"),
        pytest.param({"NumericGreaterThan": {"a:b": 10}}, {"a:b": ["10"]}, False, id="not more"),
        pytest.param({"NumericLessThanIfExists": {"a:b": 10}}, {}, True, id="no number, IfExists"),
        pytest.param(
            {"DateEquals": {"a:b": "2026-01-01T01:00:00+01:00"}}, {"a:b": ["1767225600"]}, True, id="the same moment"
        ),
        pytest.param({"DateNotEquals": {"a:b": "2026-01-01"}}, {"a:b": ["1767225600"]}, False, id="a day's beginning"),
        pytest.param({"DateLessThanEquals": {"a:b": 1000}}, {"a:b": ["1000"]}, True, id="not after"),
        pytest.param({"DateGreaterThanEquals": {"a:b": 1000}}, {"a:b": ["soon"]}, False, id="no time"),
        pytest.param({"BoolIfExists": {"a:b": "false"}}, {}, True, id="no boolean, IfExists"),
        pytest.param({"Bool": {"a:b": "false"}}, {}, False, id="no boolean"),
        pytest.param({"BinaryEquals": {"a:b": "AAEC"}}, {"a:b": ["AAEC"]}, True, id="bytes"),
        pytest.param({"NotIpAddress": {"a:b": "2001:db8::/32"}}, {"a:b": ["2001:db9::1"]}, True, id="another network"),
        pytest.param({"NotIpAddress": {"a:b": "10.0.0.0/8"}}, {"a:b": ["2001:db8::1"]}, True, id="of another kind"),
        pytest.param({"IpAddress": {"a:b": "10.1.2.3"}}, {"a:b": ["10.1.2.3"]}, True, id="one address"),
        pytest.param({"IpAddress": {"a:b": "::ffff:10.0.0.0/104"}}, {"a:b": ["10.1.2.3"]}, True, id="IPv4 as IPv6"),
        pytest.param({"IpAddress": {"a:b": "::/0"}}, {"a:b": ["10.1.2.3"]}, False, id="IPv6 alone"),
        pytest.param({"IpAddressIfExists": {"a:b": "::1"}}, {}, True, id="no address, IfExists"),
        pytest.param({"ArnEquals": {"a:b": "arn:aws:s3:::x?z"}}, {"a:b": ["arn:aws:s3:::xyz"]}, True, id="ArnEquals"),
        pytest.param({"ArnNotEquals": {"a:b": "arn:aws:s3:::x"}}, {"a:b": ["arn:aws:s3:::x"]}, False, id="another ARN"),
        pytest.param({"ArnNotLike": {"a:b": "arn:aws:s3:::x*"}}, {}, True, id="no ARN, negated"),
        pytest.param({"ArnLike": {"a:b": "arn:aws:s*:x"}}, {"a:b": ["arn:aws:s3:::x"]}, None, id="a star for colons"),
        pytest.param(
            {"ArnLike": {"a:b": "arn:aws:s*:*::x"}}, {"a:b": ["arn:aws:s3::1:x"]}, False, id="a star in one part"
        ),
        pytest.param({"ForAnyValue:StringEquals": {"a:b": "x"}}, {}, False, id="any of none"),
        pytest.param({"ForAnyValue:StringNotEquals": {"a:b": "x"}}, {"a:b": ["x", "y"]}, True, id="any other"),
        pytest.param({"ForAnyValue:StringNotEquals": {"a:b": "x"}}, {}, False, id="any other of none"),
        pytest.param({"ForAllValues:StringNotEquals": {"a:b": "x"}}, {"a:b": ["x", "y"]}, False, id="all other"),
        pytest.param({"ForAllValues:StringNotEquals": {"a:b": "x"}}, {"a:b": ["z", "y"]}, True, id="all are others"),
        pytest.param({"ForAnyValue:StringLikeIfExists": {"a:b": "x*"}}, {}, True, id="any of none, IfExists"),
        pytest.param({"Null": {"aws:Referer": "true"}}, {}, True, id="absent"),
        pytest.param({"Null": {"a:b": "true"}}, {"a:b": []}, True, id="empty"),
        pytest.param({"Null": {"aws:Referer": False}}, {}, False, id="present"),
        pytest.param({"ForAnyValue:StringEquals": {"a:b": "x"}}, {"a:b": ["y", "x"]}, True, id="any of them"),
        pytest.param({"ForAllValues:StringEquals": {"a:b": "x"}}, {"a:b": ["y", "x"]}, False, id="all of them"),
        pytest.param({"ForAllValues:StringEquals": {"a:b": "x"}}, {}, True, id="all of none"),
        pytest.param({"ArnLike": {"a:b": "arn:aws:s3:*:*:x*"}}, {"a:b": ["arn:aws:s3:::xyz"]}, True, id="an ARN"),
        pytest.param({"ArnLike": {"a:b": "arn:*:x"}}, {"a:b": ["arn:aws:s3:::x"]}, None, id="no whole ARN"),
        pytest.param(
            {"StringEquals": {"a:b": "x"}, "Bool": {"c:d": True}}, {"a:b": ["x"], "c:d": ["false"]}, False, id="both"
        ),
    ],
)
def test_a_condition(condition: dict[str, Any], keys: dict[str, list[str]], holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(PolicyError, match="is no ARN"):
            decide(statement(Condition=condition), keys=keys)
        return
    assert decide(statement(Condition=condition), keys=keys) is (ALLOW if holds else NOTHING)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param("allow", "a policy is an object", id="no object"),
        pytest.param({"Version": "2012-10-17"}, "Statement.0: a statement is an object", id="no statement"),
        pytest.param({"Version": "2020-01-01", "Statement": []}, "Version: write", id="no such version"),
        pytest.param({"Statement": [statement("allow")]}, "Statement.0.Effect: is Allow or Deny", id="effect"),
        pytest.param({"Statement": [{"Effect": "Allow", "Action": "*"}]}, "Statement.0.Resource: write", id="nothing"),
        pytest.param({"Statement": [statement(resource=[])]}, "Statement.0.Resource: names nothing", id="empty list"),
        pytest.param({"Statement": [statement(resource=7)]}, "Statement.0.Resource: is a text", id="a number"),
        pytest.param({"Statement": [statement(resource="a" * 513)]}, "at most 512", id="too long"),
        pytest.param({"Statement": [statement(Principal="*")]}, "only the policy of a resource", id="a principal"),
        pytest.param({"Statement": [statement(Conditions={})]}, "is no element of a statement", id="a slip"),
        pytest.param(
            {"Statement": [statement(Condition={"StringSimilar": {"a:b": "x"}})]},
            "no condition operator",
            id="operator",
        ),
        pytest.param({"Statement": [statement(Condition={"Bool": {"a:b": "maybe"}})]}, "neither true nor", id="bool"),
        pytest.param({"Statement": [statement(Condition={"IpAddress": {"a:b": "10.0.0.0/99"}})]}, "CIDR", id="CIDR"),
        pytest.param({"Statement": [statement(Condition={"StringEquals": {"user": "x"}})]}, "condition key", id="key"),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(resource=["*", "arn:x/${aws:username}"])]},
            "Statement.0.Resource: policy variables stand behind the fifth colon",
            id="a variable in place of an account",
        ),
        pytest.param(
            {"Statement": [statement(Condition={"StringEquals": {"a:b": "${aws:userid}"}})]},
            r"Statement.0.Condition.StringEquals.a:b: has a policy variable .*: write Version: \"2012-10-17\"",
            id="a variable, and no version",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(resource=f"{CONNECT}/${{aws:username")]},
            r"Statement.0.Resource: \$\{aws:username begins with no variable, such as",
            id="half a variable",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(Condition={"StringLike": {"a:b": "${aws:userid, x}"}})]},
            "begins with no variable",
            id="a default without quotation marks",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(resource=f"{CONNECT}/${{username}}")]},
            "the variable username is no condition key",
            id="no key",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(resource=f"{CONNECT}/${{aws:PrincipalOrgPaths}}")]},
            "the variable aws:PrincipalOrgPaths has several values",
            id="a variable that is a list",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(Condition={"IpAddress": {"a:b": "${aws:userid}"}})]},
            "is no address",
            id="a variable where texts aren't compared",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": [statement(action="execute-api:${aws:userid}")]},
            "is no action",
            id="a variable in an action",
        ),
        pytest.param({"Statement": [statement(action="Invoke")]}, "Invoke is no action, such as", id="no vendor"),
        pytest.param({"Statement": [statement(resource="chat/*")]}, 'is neither an ARN nor "\\*"', id="no ARN"),
        pytest.param(
            {"Statement": [statement(Condition={"StringEquals": {"a:b": []}})]}, "no value to compare", id="no value"
        ),
        pytest.param(
            {"Statement": [statement(Condition={"ForAnyValue:Null": {"a:b": True}})]},
            "no condition op",
            id="null of all",
        ),
        pytest.param(
            {"Statement": [statement(Condition={"StringEquals": {"aws:PrincipalOrgPaths": "o-1/*"}})]},
            "write ForAnyValue:StringEquals or ForAllValues:StringEquals",
            id="a list without a quantifier",
        ),
    ],
)
def test_what_can_not_be_evaluated_is_no_policy(document: object, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        compile_policy(document)


def test_each_statement_says_what_is_wrong_with_it() -> None:
    bad = [statement("allow"), statement(), statement(action="x"), statement(resource="x")]

    assert [fault.steps for fault in faults_of({"Statement": bad})] == [
        ("Statement", 0, "Effect"),
        ("Statement", 2, "Action"),
        ("Statement", 3, "Resource"),
    ]
    assert [str(fault) for fault in faults_of([])] == ["a policy is an object with Version and Statement"]
    assert faults_of({"Statement": statement()}) == []


ACCOUNT = "123456789012"
ANN, ROLE, ROOT = (f"arn:aws:iam::123456789012:{name}" for name in ("user/ann", "role/app", "root"))


@pytest.mark.parametrize(
    ("principal", "callers", "decision"),
    [
        pytest.param("*", {}, ALLOW, id="everyone"),
        pytest.param({"AWS": "*"}, {}, ALLOW, id="everyone in AWS's form"),
        pytest.param({"AWS": [ANN, "*"]}, {}, ALLOW, id="everyone among others"),
        pytest.param({"AWS": ANN}, {}, NOTHING, id="nobody has signed"),
        pytest.param({"AWS": ANN}, {ANN: True}, ALLOW, id="a user"),
        pytest.param({"AWS": [ROLE, ANN]}, {ANN: True}, ALLOW, id="one of two"),
        pytest.param({"AWS": ROLE}, {ANN: True}, NOTHING, id="another"),
        pytest.param({"AWS": "123456789012"}, {ANN: True, ACCOUNT: True}, ALLOW, id="an account"),
        pytest.param(
            {"AWS": ROOT}, {ANN: True, ACCOUNT: False}, NOTHING, id="what an account leaves to its own policies"
        ),
    ],
)
def test_whom_a_resource_policy_is_about(principal: object, callers: dict[str, bool], decision: Decision) -> None:
    policy = compile_policy({"Statement": [statement(Principal=principal)]}, principals=True)

    assert policy.decide(INVOKE, CONNECT, {}, callers) is decision


SESSION = "arn:aws:sts::123456789012:assumed-role/app/bob"
SIGNED: dict[str, dict[str, bool]] = {
    "nobody": {},
    "ann": {ANN: True, ACCOUNT: False},
    "bob": {SESSION: True, ROLE: True, ACCOUNT: False},
    "eve": {ANN.replace(ACCOUNT, "210987654321"): True, "210987654321": True},
}


@pytest.mark.parametrize(
    ("named", "denied", "allowed"),
    [
        pytest.param({"AWS": [ANN, ACCOUNT]}, "nobody bob eve", "nobody eve", id="a user, with the account"),
        pytest.param({"AWS": ANN}, "nobody ann bob eve", "nobody bob eve", id="a user alone"),
        pytest.param({"AWS": ROOT}, "nobody ann bob eve", "nobody eve", id="an account alone"),
        pytest.param({"AWS": [SESSION, ROLE, ROOT]}, "nobody ann eve", "nobody eve", id="a session in full"),
        pytest.param({"AWS": [SESSION, ROOT]}, "nobody ann bob eve", "nobody eve", id="a session without its role"),
        pytest.param({"Service": "events.amazonaws.com"}, "nobody ann bob eve", "nobody ann bob eve", id="a service"),
    ],
)
def test_all_but_some(named: dict[str, Any], denied: str, allowed: str) -> None:
    """IAM user guide, "AWS JSON policy elements: NotPrincipal"."""

    def about(effect: str) -> str:
        policy = compile_policy({"Statement": [statement(effect, NotPrincipal=named)]}, principals=True)
        said = {name: policy.decide(INVOKE, CONNECT, {}, callers) for name, callers in SIGNED.items()}
        return " ".join(name for name, decision in said.items() if decision is not NOTHING)

    assert (about("Deny"), about("Allow")) == (denied, allowed)


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_no_service_of_aws_calls_here(effect: str) -> None:
    services = {"Service": ["events.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn"]}
    alone = compile_policy({"Statement": [statement(effect, Principal=services)]}, principals=True)
    both = compile_policy({"Statement": [statement(effect, Principal=services | {"AWS": ANN})]}, principals=True)

    for callers in SIGNED.values():
        assert alone.decide(INVOKE, CONNECT, {}, callers) is NOTHING
    assert both.decide(INVOKE, CONNECT, {}, SIGNED["ann"]) is (ALLOW if effect == "Allow" else DENY)


def test_an_api_is_invoked() -> None:
    with pytest.raises(
        PolicyError, match=r"Statement\.0\.Action: execute-apl:Invoke is nothing that is done to an API"
    ):
        compile_policy({"Statement": [statement("Deny", action="execute-apl:Invoke", Principal="*")]}, principals=True)


def test_who_denies_an_account_denies_all_of_it() -> None:
    denying = compile_policy({"Statement": [statement("Deny", Principal={"AWS": ROOT})]}, principals=True)

    assert denying.decide(INVOKE, CONNECT, {}, {ANN: True, ACCOUNT: False}) is Decision.EXPLICIT_DENY


@pytest.mark.parametrize(
    ("principal", "complaint"),
    [
        pytest.param({}, "Principal: is ", id="none"),
        pytest.param({"Principal": "*", "NotPrincipal": {"AWS": ANN}}, "NotPrincipal: write Principal or", id="both"),
        pytest.param({"Principal": {}}, "Principal: is ", id="nobody"),
        pytest.param({"Principal": {"Service": "events"}}, "is no service of AWS", id="no service"),
        pytest.param({"Principal": {"Service": "*"}}, "is no service of AWS", id="all services"),
        pytest.param({"Principal": {"Federated": "x"}}, "Principal.Federated: is no kind", id="who never calls"),
        pytest.param({"Principal": {"AWS": f"{ROOT[:-4]}group/all"}}, "is no account", id="a group"),
        pytest.param({"Principal": {"AWS": "123456789012:root"}}, "is no account", id="half an ARN"),
        pytest.param({"Principal": "arn:aws:iam::123456789012:user/ann"}, "Principal: is ", id="a bare ARN"),
        pytest.param({"Principal": {"AWS": []}}, "names nothing", id="an empty list"),
        pytest.param({"Principal": {"AWS": "arn:aws:iam::1:root"}}, "is no account", id="no ARN"),
        pytest.param({"Principal": {"AWS": f"{ANN[:-3]}*"}}, "has no wildcards", id="a wildcard"),
        pytest.param({"NotPrincipal": "*"}, "NotPrincipal: leaves nobody", id="nobody else"),
        pytest.param({"NotPrincipal": {"AWS": [ANN, "*"]}}, "NotPrincipal: leaves nobody", id="nobody else, too"),
    ],
)
def test_principals_that_are_not_understood(principal: dict[str, object], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        compile_policy({"Statement": [statement(**principal)]}, principals=True)


_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
_words = st.sampled_from(["Allow", "Deny", "*", INVOKE, "Statement", "Effect", "Action", "Resource", "Condition"])
_documents = st.recursive(
    _scalars | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


@given(_documents)
def test_any_document_is_a_policy_or_says_why_not(document: object) -> None:
    try:
        policy = compile_policy(document)
    except PolicyError:
        return
    assert policy.decide(INVOKE, CONNECT, {"aws:sourceip": ["1.2.3.4"]}) in Decision


_texts = st.sampled_from(
    ["*", CONNECT, "arn:aws:execute-api:*:*:${aws:userid}", "${aws:userid, 'x'}", "1.2.3.4", "true"]
)
_conditions = st.dictionaries(
    st.sampled_from([*OPERATORS, "Null"]).flatmap(
        lambda name: st.sampled_from([name, f"{name}IfExists", f"ForAnyValue:{name}", f"ForAllValues:{name}"])
    ),
    st.dictionaries(st.sampled_from(["aws:userid", "aws:SourceIp", "aws:PrincipalOrgPaths"]), _texts | _scalars),
    max_size=2,
)
_principals = st.sampled_from(["*", {"AWS": ANN}, {"AWS": [ROLE, ACCOUNT]}, {"Service": "s3.amazonaws.com"}, {}])
_statements = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])},
    optional={
        "Action": st.sampled_from([INVOKE, "execute-api:*", "*", "s3:*"]),
        "NotAction": st.just("execute-api:M*"),
        "Resource": _texts | st.lists(_texts),
        "NotResource": _texts,
        "Condition": _conditions,
        "Principal": _principals,
        "NotPrincipal": _principals,
    },
)


@given(st.lists(_statements, max_size=3), st.sampled_from(["2012-10-17", "2008-10-17"]), st.booleans())
def test_any_policy_decides_and_a_deny_only_takes_away(
    statements: list[dict[str, Any]], version: str, principals: bool
) -> None:
    good = []
    for each in statements:
        try:
            compile_policy({"Version": version, "Statement": each}, principals=principals)
        except PolicyError:
            continue
        good.append(each)
    policy = compile_policy({"Version": version, "Statement": good}, principals=principals)
    allows = [each for each in good if each["Effect"] == "Allow"]
    allowing = compile_policy({"Version": version, "Statement": allows}, principals=principals)

    for keys in ({}, {"aws:userid": ["x"], "aws:sourceip": ["1.2.3.4"], "aws:principalorgpaths": ["a", "b"]}):
        for callers in SIGNED.values():
            said = policy.decide(INVOKE, CONNECT, keys, callers)
            assert said is DENY or said is allowing.decide(INVOKE, CONNECT, keys, callers)
