"""The function of items.json."""

import json


def handler(event, context):
    return {"statusCode": 200, "body": json.dumps({"path": event["path"], "stage": event["requestContext"]["stage"]})}
