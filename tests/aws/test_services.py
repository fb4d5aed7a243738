"""Services of AWS behind routes, by real requests to moto, with boto3 as the checker.

API Gateway developer guide, "Integration types in API Gateway", "Set up WebSocket API integration requests"; AWS's
samples of WebSocket APIs with DynamoDB and SQS.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness import PATIENCE, Gateway, gateway, heard
from tests.moto import Aws, aws, service_of, signed_by

pytestmark = pytest.mark.anyio

ACCOUNT = "123456789012"
DEFINITION = r"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {table: connections, queue: jobs}}}
    integrations:
      opened:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:dynamodb:action/PutItem
        credentialsArn: arn:aws:iam::123456789012:role/chat
        templateSelectionExpression: \$default
        requestTemplates:
          $default: |
            #set($room = $input.params().get('querystring').get('room'))
            {"TableName": "$stageVariables.table",
             "Item": {"room": {"S": "$room"}, "id": {"S": "$context.connectionId"}}}
        integrationResponses:
          /200/: {}
          $default: {responseTemplates: {$default: '{"no": "$input.path(''$.message'')"}'}}
      closed:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:dynamodb:action/DeleteItem
        requestTemplates:
          application/json: >
            {"TableName": "connections", "Key": {"room": {"S": "lobby"}, "id": {"S": "$context.connectionId"}}}
      members:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:dynamodb:action/Query
        requestTemplates:
          $default: |
            {"TableName": "connections", "KeyConditionExpression": "room = :room",
             "ExpressionAttributeValues": {":room": {"S": $input.json('$.room')}}}
        integrationResponses:
          /200/:
            responseTemplates:
              $default: >-
                #set($root = $input.path('$'))
                {"count": $root.Count, "members": [
                #foreach($item in $root.Items)"$item.id.S"#if($foreach.hasNext), #end#end]}
      nowhere:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:dynamodb:action/DescribeTable
        requestTemplates: {$default: '{"TableName": "nowhere"}'}
        integrationResponses:
          /4\d\d/: {responseTemplates: {$default: '{"error": "$input.path(''$.__type'')"}'}}
          $default: {}
      job:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:sqs:path/123456789012/${stageVariables.queue}
        requestParameters: {integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}
        requestTemplates:
          $default: "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
      ask:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:sqs:action/SendMessage
        requestTemplates:
          $default: |
            #set($queues = "http://sqs.eu-central-1.amazonaws.com/123456789012")
            {"QueueUrl": "$queues/jobs", "MessageBody": $input.json("$.body")}
        integrationResponses: {$default: {responseTemplates: {$default: "$input.json('$.MessageId')"}}}
      tell:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:sns:action/Publish
        requestTemplates:
          $default: "TopicArn=arn:aws:sns:eu-central-1:123456789012:news&Message=$util.urlEncode($input.path('$.text'))"
      record:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:kinesis:action/PutRecord
        requestTemplates:
          $default: |
            {"StreamName": "stream", "PartitionKey": "$context.connectionId", "Data": "$util.base64Encode($input.body)"}
      event:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:events:action/PutEvents
        requestTemplates:
          $default: |
            {"Entries": [{"Source": "chat", "DetailType": "said", "EventBusName": "default",
              "Detail": "$util.escapeJavaScript($input.body)"}]}
        integrationResponses: {/200/: {}}
      start:
        integrationType: AWS
        integrationUri: arn:aws:apigateway:eu-central-1:states:action/StartExecution
        requestTemplates:
          $default: |
            {"stateMachineArn": "arn:aws:states:eu-central-1:123456789012:stateMachine:order",
             "name": "$input.path('$.name')", "input": "$util.escapeJavaScript($input.json('$.order'))"}
        integrationResponses: {/200/: {}}
      put:
        integrationType: AWS
        integrationMethod: PUT
        integrationUri: arn:aws:apigateway:eu-central-1:s3:path/{bucket}/notes/{key}
        requestParameters: &object
          integration.request.path.bucket: "'bucket'"
          integration.request.path.key: route.request.body.key
        requestTemplates: {$default: "$input.path('$.text')"}
        integrationResponses: {/200/: {responseTemplates: {$default: "it is there"}}}
      get:
        integrationType: AWS
        integrationMethod: GET
        integrationUri: arn:aws:apigateway:eu-central-1:s3:path/{bucket}/notes/{key}
        requestParameters: *object
        integrationResponses: {/200/: {}, /404/: {responseTemplates: {$default: "there is no such note"}}}
    routes:
      $connect: {integration: opened}
      $disconnect: {integration: closed}
      members: {integration: members, routeResponse: true}
      nowhere: {integration: nowhere, routeResponse: true}
      job: {integration: job}
      ask: {integration: ask, routeResponse: true}
      tell: {integration: tell}
      record: {integration: record}
      event: {integration: event, routeResponse: true}
      start: {integration: start, routeResponse: true}
      put: {integration: put, routeResponse: true}
      get: {integration: get, routeResponse: true}
"""


@pytest.fixture(scope="module")
async def cloud() -> AsyncIterator[Aws]:
    async with aws() as running:
        keys = [("room", "HASH"), ("id", "RANGE")]
        await running.ask(
            "dynamodb",
            "create_table",
            TableName="connections",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        await running.ask("sqs", "create_queue", QueueName="jobs")
        await running.ask("sqs", "create_queue", QueueName="news")
        topic = (await running.ask("sns", "create_topic", Name="news"))["TopicArn"]
        queue = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:news"
        await running.ask("sns", "subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue)
        await running.ask("kinesis", "create_stream", StreamName="stream", ShardCount=1)
        machine = '{"StartAt": "a", "States": {"a": {"Type": "Pass", "End": true}}}'
        role = f"arn:aws:iam::{ACCOUNT}:role/machine"
        await running.ask("stepfunctions", "create_state_machine", name="order", definition=machine, roleArn=role)
        where = {"LocationConstraint": "eu-central-1"}
        await running.ask("s3", "create_bucket", Bucket="bucket", CreateBucketConfiguration=where)
        yield running


@pytest.fixture(scope="module")
async def running(cloud: Aws, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("services"), env=cloud.environment()) as running:
        yield running
    assert cloud.requests
    wrong = [f"{service_of(asked)} {asked.method} {asked.target}" for asked in cloud.requests if not signed_by(asked)]
    assert wrong == [], "botocore signs these otherwise"


async def say(running: Gateway, message: dict[str, object], room: str = "lobby") -> str | bytes:
    """The reply to one message."""
    async with connect(running.ws(f"/dev?room={room}")) as client:
        await client.send(json.dumps(message))
        return await heard(client)


async def received(cloud: Aws, queue: str) -> str:
    """The next message of a queue."""
    url = f"http://127.0.0.1:{cloud.moto}/{ACCOUNT}/{queue}"
    async with asyncio.timeout(PATIENCE):
        while True:
            got = await cloud.ask("sqs", "receive_message", QueueUrl=url, WaitTimeSeconds=1)
            for message in got.get("Messages", []):
                await cloud.ask("sqs", "delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                return str(message["Body"])


async def items(cloud: Aws) -> list[str]:
    found = await cloud.ask("dynamodb", "scan", TableName="connections", ConsistentRead=True)
    return [item["id"]["S"] for item in found["Items"]]


async def test_dynamodb_knows_who_is_connected(running: Gateway, cloud: Aws) -> None:
    async with connect(running.ws("/dev?room=lobby")) as one, connect(running.ws("/dev?room=lobby")):
        known = await items(cloud)
        assert len(known) == 2
        await one.send('{"action": "members", "room": "lobby"}')
        reply = json.loads(await heard(one))
        assert (reply["count"], sorted(reply["members"])) == (2, sorted(known))
    async with asyncio.timeout(PATIENCE):
        while await items(cloud):
            pass  # each look is a call

    first = cloud.requests[0]
    assert first.header("x-amz-target") == "DynamoDB_20120810.PutItem"
    assert first.header("content-type") == "application/x-amz-json-1.0"
    assert first.header("user-agent") == "AmazonAPIGateway_chat"
    assert (first.header("x-amzn-trace-id") or "").startswith("Root=1-")
    assert first.header("x-forwarded-for") is None
    assert first.header("connection") is None


async def test_what_dynamodb_refuses_refuses_the_handshake_by_its_status(running: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(running.ws("/dev"))  # an empty key

    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body)["no"].startswith("One or more parameter values")


async def test_a_refusal_is_mapped_by_its_status(running: Gateway) -> None:
    reply = await say(running, {"action": "nowhere"})

    assert json.loads(reply) == {"error": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}


async def test_sqs_by_path_as_a_query(running: Gateway, cloud: Aws) -> None:
    message = '{"action": "job", "text": "50% & more"}'
    async with connect(running.ws("/dev?room=lobby")) as client:
        await client.send(message)
        assert await received(cloud, "jobs") == message


async def test_sqs_by_its_action_as_json(running: Gateway, cloud: Aws) -> None:
    reply = json.loads(await say(running, {"action": "ask", "body": "grüß \U0001f600"}))

    assert len(reply) == 36
    assert await received(cloud, "jobs") == "grüß \U0001f600"


async def test_sns_publishes(running: Gateway, cloud: Aws) -> None:
    async with connect(running.ws("/dev?room=lobby")) as client:
        await client.send('{"action": "tell", "text": "news & more"}')
        assert json.loads(await received(cloud, "news"))["Message"] == "news & more"


async def test_kinesis_takes_a_record(running: Gateway, cloud: Aws) -> None:
    stream = await cloud.ask("kinesis", "describe_stream", StreamName="stream")
    shard = stream["StreamDescription"]["Shards"][0]["ShardId"]
    start = {"StreamName": "stream", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    at = (await cloud.ask("kinesis", "get_shard_iterator", **start))["ShardIterator"]
    message = '{"action": "record", "text": "\xfc"}'
    async with connect(running.ws("/dev?room=lobby")) as client, asyncio.timeout(PATIENCE):
        await client.send(message)
        records: list[dict[str, bytes]] = []
        while not records:
            records = (await cloud.ask("kinesis", "get_records", ShardIterator=at))["Records"]

    assert records[0]["Data"].decode() == message


async def test_eventbridge_takes_an_event(running: Gateway, cloud: Aws) -> None:
    reply = json.loads(await say(running, {"action": "event", "text": 'a "quoted" word'}))

    assert reply["FailedEntryCount"] == 0
    asked = next(request for request in reversed(cloud.requests) if service_of(request) == "events")
    detail = json.loads(json.loads(asked.body)["Entries"][0]["Detail"])
    assert detail["text"] == 'a "quoted" word'
    assert asked.header("x-amz-target") == "AWSEvents.PutEvents"
    assert asked.header("content-type") == "application/x-amz-json-1.1"


async def test_step_functions_start_an_execution(running: Gateway, cloud: Aws) -> None:
    reply = json.loads(await say(running, {"action": "start", "name": "first", "order": {"n": 7}}))

    execution = await cloud.ask("stepfunctions", "describe_execution", executionArn=reply["executionArn"])
    assert (execution["name"], json.loads(execution["input"])) == ("first", {"n": 7})


async def test_s3_puts_and_gets_an_object(running: Gateway, cloud: Aws) -> None:
    key = "2026/grüß + you.txt"
    async with connect(running.ws("/dev?room=lobby")) as client:
        await client.send(json.dumps({"action": "put", "key": key, "text": "a note"}))
        assert await heard(client) == "it is there"
        await cloud.saw("/bucket/notes/2026/gr%C3%BC%C3%9F%20%2B%20you.txt")
        await client.send(json.dumps({"action": "get", "key": key}))
        assert await heard(client) == "a note"
        await client.send(json.dumps({"action": "get", "key": "none"}))
        assert await heard(client) == "there is no such note"
        await client.send(json.dumps({"action": "get", "key": "../../other"}))
        assert json.loads(await heard(client))["message"] == "Internal server error"
    listed = await cloud.ask("s3", "list_objects_v2", Bucket="bucket")
    assert [found["Key"] for found in listed["Contents"]] == [f"notes/{key}"]


async def test_calls_are_counted_by_service_action_and_result(running: Gateway) -> None:
    await say(running, {"action": "get", "key": "never"})
    metrics = await running.metrics()

    counted = 'wsgateway_aws_calls_total{action="%s",result="%s",service="%s"}'
    assert metrics[counted % ("PutItem", "ok", "dynamodb")] >= 1
    assert metrics[counted % ("GET", "refused", "s3")] >= 1
    assert metrics["wsgateway_aws_credentials_valid"] == 1


async def test_the_example_of_the_documentation(cloud: Aws, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text()
    example = page.partition("## Services of AWS")[2].partition("```yaml\n")[2].partition("```")[0]
    async with gateway(example, tmp_path, env=cloud.environment()) as running:
        async with connect(running.ws("/dev?user=ann")) as client:
            await client.send('{"action": "members", "room": "lobby"}')
            assert "ann" in json.loads(await heard(client))["members"]
            await client.send('{"action": "job", "n": 1}')
            assert json.loads(await received(cloud, "jobs"))["n"] == 1
        async with asyncio.timeout(PATIENCE):
            while await items(cloud):
                pass  # each look is a call
