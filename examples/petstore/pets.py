"""A pet store as an AWS Lambda function behind a REST API. It runs unchanged behind Amazon API Gateway.

Bodies fit the document's schemas before they come here, and who may remove pets is decided there, too.
"""

import json
import os
import sqlite3

database = sqlite3.connect(os.environ.get("DATABASE", "/tmp/pets.sqlite3"), isolation_level=None, timeout=5)
database.execute("CREATE TABLE IF NOT EXISTS pets (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL)")


def handler(event, context):
    """One request: of the resource and the method that API Gateway found for it."""
    match event["resource"], event["httpMethod"]:
        case "/pets", "GET":
            kind = (event["queryStringParameters"] or {}).get("kind")
            rows = database.execute("SELECT id, name, kind FROM pets WHERE ? IN (kind, '') ORDER BY id", [kind or ""])
            return answer(200, [pet(row) for row in rows])
        case "/pets", "POST":
            new = json.loads(event["body"])
            added = database.execute("INSERT INTO pets (name, kind) VALUES (?, ?)", [new["name"], new["kind"]])
            return answer(201, pet((added.lastrowid, new["name"], new["kind"])))
        case "/pets/{petId}", "GET":
            found = database.execute("SELECT id, name, kind FROM pets WHERE id = ?", [pet_id(event)]).fetchone()
            return answer(404, {"message": "There is no such pet"}) if found is None else answer(200, pet(found))
        case "/pets/{petId}", "DELETE":
            database.execute("DELETE FROM pets WHERE id = ?", [pet_id(event)])
            return {"statusCode": 204}


def pet_id(event):
    return event["pathParameters"]["petId"]


def pet(row):
    number, name, kind = row
    return {"id": str(number), "name": name, "kind": kind}


def answer(status, content):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(content)}
