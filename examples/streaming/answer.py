"""Streams an answer, word by word, to the connection that asked: an AWS Lambda function behind a WebSocket API.

The words go out as pushes, each awaited before the next, so they arrive in order; the function's result is the last
message. Put your model in the place of `words`: anything that yields text will do.
"""

import functools
import json
import os
import time

import boto3

PAUSE = float(os.environ.get("SECONDS_PER_WORD", "0.08"))
LONGEST_QUESTION = 1000


def handler(event, context):
    """Answer one question."""
    request = event["requestContext"]
    connections = management_api(f"https://{request['domainName']}/{request['stage']}")
    question = asked(event["body"])
    if question is None:
        problem = f"question must be a string of 1 to {LONGEST_QUESTION} characters"
        return {"statusCode": 400, "body": json.dumps({"type": "error", "message": problem})}
    count = 0
    for count, word in enumerate(words(question), start=1):
        data = json.dumps({"type": "word", "n": count, "text": word}, ensure_ascii=False)
        try:
            connections.post_to_connection(ConnectionId=request["connectionId"], Data=data.encode())
        except connections.exceptions.GoneException:
            return {"statusCode": 200}  # nobody listens any more: a model that is paid by the word stops here
    return {"statusCode": 200, "body": json.dumps({"type": "done", "words": count})}


@functools.lru_cache(maxsize=16)
def management_api(endpoint):
    """A client for the connections of one stage; making one takes longer than using it."""
    return boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)


def asked(body):
    """The question in a message, or None if there is none."""
    question = json.loads(body).get("question")  # the route was selected by a key of it, so it is an object
    if not isinstance(question, str) or not 1 <= len(question.strip()) <= LONGEST_QUESTION:
        return None
    return question.strip().encode(errors="replace").decode()


def words(question):
    """An answer, at the pace of a model: here the question, said back with some manners."""
    answer = f"You asked: {question} A model would think now; this example only says it back, one word at a time."
    for word in answer.split():
        yield word
        time.sleep(PAUSE)
