"""A chat as an AWS Lambda function behind a WebSocket API: join a room, talk, see who comes and goes.

The gateway holds the sockets; this holds the rooms, in SQLite, so that any number of processes may run it. Nothing in
here knows which gateway it is: it runs unchanged behind Amazon API Gateway, given a database that all of its execution
environments share.
"""

import functools
import json
import logging
import os
import sqlite3
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

LONGEST_NAME = 40
LONGEST_TEXT = 4000

log = logging.getLogger()

database = sqlite3.connect(os.environ.get("DATABASE", "/tmp/chat.sqlite3"), isolation_level=None, timeout=5)
database.execute(
    "CREATE TABLE IF NOT EXISTS members (connection_id TEXT PRIMARY KEY, room TEXT NOT NULL, name TEXT NOT NULL)"
)


class Mistake(Exception):
    """A message we can't follow. Its sender is told why."""


def handler(event, context):
    """One event of one connection. The body of the result is the reply to its sender."""
    request = event["requestContext"]
    connection_id = request["connectionId"]
    connections = management_api(f"https://{request['domainName']}/{request['stage']}")
    try:
        match request["routeKey"]:
            case "$connect":
                reply = None  # anybody may come in; nobody is in a room yet
            case "$disconnect":
                reply = leave(connections, connection_id)
            case "join":
                reply = join(connections, connection_id, fields(event))
            case "say":
                reply = say(connections, connection_id, fields(event))
            case "who":
                reply = described("here", place(connection_id))
            case _:
                raise Mistake("Send a JSON object whose action is join, say, who or ping")
    except Mistake as mistake:
        reply = {"type": "error", "message": str(mistake)}
    return {"statusCode": 200} if reply is None else {"statusCode": 200, "body": encoded(reply)}


@functools.lru_cache(maxsize=16)
def management_api(endpoint):
    """A client for the connections of one stage; making one takes longer than using it."""
    return boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)


# What people ask for


def join(connections, connection_id, message):
    """Go into a room, out of any other."""
    member = {
        "connection_id": connection_id,
        "room": label(message, "room"),
        "name": label(message, "name"),
    }
    before = find(connection_id)
    if member != before:
        database.execute("REPLACE INTO members VALUES (:connection_id, :room, :name)", member)
        if before is not None:
            announce(connections, "left", before)
        announce(connections, "joined", member)
    return described("welcome", member)


def say(connections, connection_id, message):
    """Tell everybody in the room, oneself too."""
    member = place(connection_id)
    text = message.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Mistake("text must be a string with something in it")
    if len(text) > LONGEST_TEXT:
        raise Mistake(f"text may have {LONGEST_TEXT} characters, this has {len(text)}")
    said = {"type": "said", "room": member["room"], "name": member["name"], "text": whole(text), "at": now()}
    push(connections, [member], {**said, "you": True})
    push(connections, others(member), said)


def leave(connections, connection_id):
    """The connection is no more."""
    member = find(connection_id)
    if member is not None and forget(member):
        announce(connections, "left", member)


def announce(connections, kind, member):
    """Tell the others of a room that somebody joined or left."""
    push(connections, others(member), described(kind, member))


def described(kind, member):
    """A message about a member, with everybody who is in the room now."""
    here = [each["name"] for each in everybody(member["room"])]
    return {"type": kind, "room": member["room"], "name": member["name"], "here": here, "at": now()}


# Pushes


def push(connections, members, message):
    """Push to each of these; who turns out to be gone is removed, and the others are told."""
    data = encoded(message).encode()
    gone = [member for member in members if not reached(connections, member, data)]
    # All are removed before the first is announced, or each would be pushed to once more.
    gone = [member for member in gone if forget(member)]
    for member in gone:
        announce(connections, "left", member)


def reached(connections, member, data):
    """Push to one connection; False if that is no more."""
    try:
        connections.post_to_connection(ConnectionId=member["connection_id"], Data=data)
    except connections.exceptions.GoneException:
        return False
    except (ClientError, BotoCoreError) as error:  # it reads too slowly, or the gateway is away: it misses this one
        log.warning("pushing to %s failed: %s", member["connection_id"], error)
    return True


# Rooms


def find(connection_id):
    """Who and where a connection is; None if it is in no room."""
    return next(rows("WHERE connection_id = ?", connection_id), None)


def place(connection_id):
    """The same, where that must be somewhere."""
    member = find(connection_id)
    if member is None:
        raise Mistake("Join a room first")
    return member


def everybody(room):
    """Who is in a room, first come first."""
    return list(rows("WHERE room = ? ORDER BY rowid", room))


def others(member):
    """Who else is in a member's room."""
    return [each for each in everybody(member["room"]) if each["connection_id"] != member["connection_id"]]


def forget(member):
    """Remove a member; False if somebody else already has."""
    return database.execute("DELETE FROM members WHERE connection_id = ?", (member["connection_id"],)).rowcount > 0


def rows(where, value):
    """Members as dicts."""
    for connection_id, room, name in database.execute(
        f"SELECT connection_id, room, name FROM members {where}", (value,)
    ):
        yield {"connection_id": connection_id, "room": room, "name": name}


# Messages


def fields(event):
    """The message as a JSON object."""
    try:
        message = json.loads(event["body"])
    except (ValueError, RecursionError) as error:
        raise Mistake("The message is not JSON") from error
    if not isinstance(message, dict):
        raise Mistake("The message is not a JSON object")
    return message


def label(message, key):
    """A room's or a person's name out of a message."""
    value = message.get(key)
    name = " ".join(whole(value).split()) if isinstance(value, str) else ""
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Mistake(f"{key} must be a string of 1 to {LONGEST_NAME} characters")
    return name


def whole(text):
    r"""The text without halves of characters, which JSON allows (`"\ud800"`) and UTF-8 doesn't."""
    return text.encode(errors="replace").decode()


def encoded(message):
    """The message as JSON, readable in any alphabet."""
    return json.dumps(message, ensure_ascii=False)


def now():
    """Milliseconds since 1970, for clients to show and to order by."""
    return time.time_ns() // 1_000_000
