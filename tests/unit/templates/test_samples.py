"""Templates like those of AWS's documentation and public samples, and what they write here.

Each is our own variant; its id names the page or sample whose kind it is.
"""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from tests.unit.dataplane.values import CONNECTION_ID, connecting, message
from wsgateway.invocation import Invocation
from wsgateway.templates.mapping import request_names, request_overrides, response_names, response_overrides
from wsgateway.templates.vtl import compile


def written(template: str, invocation: Invocation) -> str:
    return compile(dedent(template)).render(request_names(invocation))


def answered(template: str, body: str, invocation: Invocation | None = None) -> str:
    return compile(dedent(template)).render(response_names(invocation or message(), body.encode()))


PUT_ITEM = """\
    #set($now = $context.connectedAt / 1000)
    #set($expires = $now + 7200)
    {
      "TableName": "${stageVariables.table}",
      "Item": {
        "connectionId": {"S": "$context.connectionId"},
        "user": {"S": "$util.escapeJavaScript($input.params('user')).replaceAll("\\\\'","'")"},
        "agent": {"S": "$util.escapeJavaScript($input.params().get('header').get('User-Agent'))"},
        "expires": {"N": "$expires"}
      }
    }
    """


def test_dynamodb_put_item_on_connect() -> None:
    """aws-samples, serverless patterns: WebSocket API to DynamoDB."""
    invocation = connecting("/dev?user=o%27neil", ("User-Agent", "chat/1.0"), table="connections")

    assert json.loads(written(PUT_ITEM, invocation)) == {
        "TableName": "connections",
        "Item": {
            "connectionId": {"S": CONNECTION_ID},
            "user": {"S": "o'neil"},
            "agent": {"S": "chat/1.0"},
            "expires": {"N": "1790215384"},
        },
    }


PASSTHROUGH = """\
    ## Everything there is, for the backend to choose from
    #set($allParams = $input.params())
    {
    "body-json" : $input.json('$'),
    "params" : {
    #foreach($type in $allParams.keySet())
        #set($params = $allParams.get($type))
    "$type" : {
        #foreach($paramName in $params.keySet())
        "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
            #if($foreach.hasNext),#end
        #end
    }
        #if($foreach.hasNext),#end
    #end
    },
    "stage-variables" : {
    #foreach($key in $stageVariables.keySet())
    "$key" : "$util.escapeJavaScript($stageVariables.get($key))"
        #if($foreach.hasNext),#end
    #end
    },
    "context" : {
        "stage" : "$context.stage",
        "source-ip" : "$context.identity.sourceIp",
        "user" : "$context.identity.user",
        "user-agent" : "$context.identity.userAgent",
        "request-id" : "$context.requestId"
        }
    }
    """


def test_method_request_passthrough_of_the_console() -> None:
    """API Gateway console: "Method request passthrough"."""
    invocation = connecting("/dev?a=1&b=%22two%22", ("X-Id", "7"), table="t", queue="q")

    assert json.loads(written(PASSTHROUGH, invocation)) == {
        "body-json": {},
        "params": {
            "path": {},
            "querystring": {"a": "1", "b": '"two"'},
            "header": {"Host": "chat.example:8080", "X-Id": "7"},
        },
        "stage-variables": {"table": "t", "queue": "q"},
        "context": {
            "stage": "dev",
            "source-ip": "203.0.113.9",
            "user": "",
            "user-agent": "tests/1",
            "request-id": invocation.request_id,
        },
    }


def test_method_request_passthrough_without_anything() -> None:
    found: dict[str, Any] = json.loads(written(PASSTHROUGH, message('{"a": [1.50, null]}')))

    assert found["body-json"] == {"a": [1.50, None]}
    assert found["params"] == {"path": {}, "querystring": {}, "header": {}}
    assert found["stage-variables"] == {}


ORDER = json.dumps(
    {
        "action": "order",
        "id": 17,
        "note": 'it\'s "urgent" & späť/now',
        "items": [{"name": "tea", "n": 2, "price": 3.50}, {"name": "milk", "n": 1, "price": 1.05}],
        "empty": [],
    },
    ensure_ascii=False,
)


@pytest.mark.parametrize(
    ("template", "output"),
    [
        pytest.param(
            "Action=SendMessage&MessageBody=$util.urlEncode($input.body)",
            "Action=SendMessage&MessageBody=%7B%22action%22%3A+%22hi%22%7D",
            id="aws-samples, serverless patterns: WebSocket API to SQS",
        ),
        pytest.param(
            "Action=SendMessage&MessageGroupId=$context.connectionId"
            "&MessageBody=$util.urlEncode($input.json('$'))"
            "&MessageAttribute.1.Name=from&MessageAttribute.1.Value.StringValue=$util.urlEncode($context.domainName)"
            "&MessageAttribute.1.Value.DataType=String",
            f"Action=SendMessage&MessageGroupId={CONNECTION_ID}&MessageBody=%7B%22action%22%3A%22hi%22%7D"
            "&MessageAttribute.1.Name=from&MessageAttribute.1.Value.StringValue=chat.example%3A8080"
            "&MessageAttribute.1.Value.DataType=String",
            id="aws-samples: SQS with attributes",
        ),
        pytest.param(
            "Action=Publish&TopicArn=$util.urlEncode('arn:aws:sns:eu-central-1:000000000000:chat')"
            "&Message=$util.urlEncode($input.json('$.action'))",
            "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A000000000000%3Achat&Message=%22hi%22",
            id="Tutorial: API Gateway as a proxy of SNS",
        ),
        pytest.param(
            """\
            #set($input_ = $util.escapeJavaScript($input.json('$')))
            {"input": "$input_", "name": "run-$context.connectionId.replace('=', '')",
             "stateMachineArn": "arn:aws:states:eu-central-1:000000000000:stateMachine:chat"}
            """,
            '{"input": "{\\"action\\":\\"hi\\"}", "name": "run-' + CONNECTION_ID.replace("=", "") + '",\n'
            ' "stateMachineArn": "arn:aws:states:eu-central-1:000000000000:stateMachine:chat"}\n',
            id="Step Functions developer guide: Creating an API using API Gateway, StartExecution",
        ),
        pytest.param(
            """\
            {"StreamName": "chat", "Data": "$util.base64Encode($input.json('$'))", "PartitionKey": "$context.stage"}
            """,
            '{"StreamName": "chat", "Data": "eyJhY3Rpb24iOiJoaSJ9", "PartitionKey": "dev"}\n',
            id="Tutorial: Create a REST API as a Kinesis proxy, PutRecord",
        ),
        pytest.param(
            """\
            #set($context.requestOverride.header.X-Amz-Target = "AWSEvents.PutEvents")
            {"Entries": [{"Source": "chat.$context.stage", "DetailType": "$input.path('$.action')",
              "Detail": "$util.escapeJavaScript($input.body)"}]}
            """,
            '{"Entries": [{"Source": "chat.dev", "DetailType": "hi",\n  "Detail": "{\\"action\\": \\"hi\\"}"}]}\n',
            id="aws-samples, serverless patterns: API Gateway to EventBridge",
        ),
        pytest.param(
            """\
            #set($inputRoot = $input.path('$'))
            #set($inputRoot.from = $context.connectionId)
            $input.json('$')
            """,
            f'{{"action":"hi","from":"{CONNECTION_ID}"}}\n',
            id="adding a property to the body",
        ),
        pytest.param(
            """\
            #set($body = $util.parseJson($input.body))
            #set($ignored = $body.put("n", 1))
            #foreach($entry in $body.entrySet())$entry.key=$entry.value;#end
            """,
            "action=hi;n=1;",
            id="a map's entries",
        ),
        pytest.param(
            "{\"statusCode\": #if($input.path('$.action') == 'hi')200#{else}400#end}",
            '{"statusCode": 200}',
            id="Mock integrations: a status that depends on the body",
        ),
    ],
)
def test_of_a_message(template: str, output: str) -> None:
    assert written(template, message('{"action": "hi"}')) == output


def test_an_override_for_the_request() -> None:
    invocation = message('{"action": "hi", "page": 3}')
    written(
        """\
        #set($context.requestOverride.header.X-Amz-Target = "DynamoDB_20120810.Query")
        #set($context.requestOverride.querystring.page = $input.path('$.page'))
        #set($context.requestOverride.path['id'] = "$context.stage/$context.routeKey")
        #set($context.requestOverride.header['X-Several'] = ["a", "b"])
        """,
        invocation,
    )
    overrides = request_overrides(invocation)

    assert overrides.header == {"X-Amz-Target": ["DynamoDB_20120810.Query"], "X-Several": ["a", "b"]}
    assert overrides.querystring == {"page": ["3"]}
    assert overrides.path == {"id": "dev/say"}


@pytest.mark.parametrize(
    ("template", "document"),
    [
        pytest.param(
            """\
            #set($inputRoot = $input.path('$'))
            {
              "order": $inputRoot.id,
              "lines": [
            #foreach($elem in $inputRoot.items)
                {
                  "position": $foreach.count,
                  "text": "$elem.n x $elem.name",
                  "sum": #set($sum = $elem.n * $elem.price)$sum
                }#if($foreach.hasNext),#end

            #end
              ],
              "none": [#foreach($elem in $inputRoot.empty)$elem#end],
              "missing": [#foreach($elem in $inputRoot.missing)$elem#end]
            }
            """,
            {
                "order": 17,
                "lines": [
                    {"position": 1, "text": "2 x tea", "sum": 7.0},
                    {"position": 2, "text": "1 x milk", "sum": 1.05},
                ],
                "none": [],
                "missing": [],
            },
            id="Mapping templates: a list with hasNext",
        ),
        pytest.param(
            """\
            #set($note = $util.escapeJavaScript($input.path('$.note')).replaceAll("\\\\'", "'"))
            {"note": "$note", "count": $input.path('$.items').size(), "first": $input.json('$.items[0]'),
             "names": $input.json('$.items[*].name'), "nothing": $input.json('$.missing')}
            """,
            {
                "note": 'it\'s "urgent" & späť/now',
                "count": 2,
                "first": {"name": "tea", "n": 2, "price": 3.5},
                "names": ["tea", "milk"],
                "nothing": "",
            },
            id="Mapping template reference: escapeJavaScript and its idiom for single quotes",
        ),
        pytest.param(
            """\
            #set($Integer = 0)
            #set($limit = $Integer.parseInt("$input.path('$.id')"))
            #if($limit > 10)#set($limit = 10)#end
            {"limit": $limit, "known": #if($input.path('$.note') && $input.path('$.note') != "")true#{else}false#end,
             "total": #set($n = 0)#foreach($item in $input.path('$.items'))#set($n = $n + $item.n)#end$n}
            """,
            {"limit": 10, "known": True, "total": 3},
            id="numbers out of texts, and sums",
        ),
        pytest.param(
            """\
            #macro(attribute $type $value){"$type": "$util.escapeJavaScript($value).replaceAll("\\\\'", "'")"}#end
            {"id": #attribute("N" $input.path('$.id')), "note": #attribute("S" $input.path('$.note'))}
            """,
            {"id": {"N": "17"}, "note": {"S": 'it\'s "urgent" & späť/now'}},
            id="a macro for DynamoDB's attributes",
        ),
    ],
)
def test_of_a_document(template: str, document: Any) -> None:
    assert json.loads(written(template, message(ORDER))) == document


def test_dynamodb_items_become_plain_json() -> None:
    """AWS Compute Blog, "Using Amazon API Gateway as a proxy for DynamoDB"."""
    template = """\
        #set($inputRoot = $input.path('$'))
        {"comments": [
        #foreach($elem in $inputRoot.Items) {
            "id": "$elem.id.S",
            "likes": $elem.likes.N
        }#if($foreach.hasNext),#end
        #end
        ], "count": $inputRoot.Count}
        """
    body = '{"Count": 2, "Items": [{"id": {"S": "a"}, "likes": {"N": "3"}}, {"id": {"S": "b"}, "likes": {"N": "0"}}]}'

    assert json.loads(answered(template, body)) == {
        "comments": [{"id": "a", "likes": 3}, {"id": "b", "likes": 0}],
        "count": 2,
    }


def test_a_lambda_functions_error_becomes_a_status() -> None:
    """API Gateway developer guide, "Handle custom Lambda errors" and "Override an API's … status codes"."""
    template = """\
        #set($error = $util.parseJson($input.path('$.errorMessage')))
        #if($error.status == 404)
        #set($context.responseOverride.status = 404)
        #end
        #set($context.responseOverride.header.X-Reason = $error.reason)
        {"message": "$error.message", "request": "$context.requestId"}
        """
    invocation = message()
    problem = json.dumps({"status": 404, "reason": "gone", "message": "no such room"})

    text = answered(template, json.dumps({"errorMessage": problem, "errorType": "Error"}), invocation)

    assert json.loads(text) == {"message": "no such room", "request": invocation.request_id}
    assert response_overrides(invocation).status == 404
    assert response_overrides(invocation).header == {"X-Reason": ["gone"]}


def test_what_the_request_template_leaves_the_response_template_finds() -> None:
    invocation = message('{"action": "hi", "ref": "r-1"}')
    written("#set($context.responseOverride.ref = $input.path('$.ref')){}", invocation)

    assert answered('{"ref": "$context.responseOverride.ref"}', "{}", invocation) == '{"ref": "r-1"}'


@pytest.mark.parametrize("body", ["", "not JSON", "[1, 2", "{}", '{"items": 7}', '{"items": "text"}'])
@pytest.mark.parametrize("template", [PUT_ITEM, PASSTHROUGH])
def test_samples_do_not_fail_on_other_bodies(template: str, body: str) -> None:
    assert written(template, message(body))
