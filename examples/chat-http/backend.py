"""The sample chat's backend: a plain HTTP server. The gateway holds the sockets, this holds the rooms.

Each event of a client (it connected, it sent a message, it is gone) arrives as one POST /ws, with the headers that
routes.yaml maps. The answer is what the client hears in reply. Everybody else hears of it by a push: a POST to their
connection's callback URL, made with boto3 as for Amazon API Gateway.

    python examples/chat-http/backend.py --port 8000 --database chat.sqlite3

The rooms are in SQLite, so this process may end and start again while everybody stays connected.
"""

import argparse
import contextlib
import functools
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

try:
    import boto3  # type: ignore[import-untyped,unused-ignore]
    from botocore.config import Config  # type: ignore[import-untyped,unused-ignore]
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped,unused-ignore]
except ModuleNotFoundError as missing:
    sys.exit(f"chat backend: {missing.name} is missing, which makes the pushes: pip install boto3")

PAGE = Path(__file__).parent.parent / "chat" / "index.html"
LONGEST_NAME = 40
LONGEST_TEXT = 4000
LONGEST_BODY = 1024 * 1024

log = logging.getLogger("chat")

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to one connection, as the gateway tells it."""

    connection_id: str
    route_key: str
    endpoint: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One connection that is in a room, under a name."""

    connection_id: str
    room: str
    name: str
    endpoint: str


class MessageError(Exception):
    """A message we can't follow. Its sender hears why."""


class Rooms:
    """Who is where, in SQLite. A connection is in one room or in none."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS members"
            " (connection_id TEXT PRIMARY KEY, room TEXT NOT NULL, name TEXT NOT NULL, endpoint TEXT NOT NULL)"
        )
        self._database.execute("CREATE INDEX IF NOT EXISTS members_of_room ON members (room)")

    def clear(self) -> None:
        """Empty all rooms."""
        self._database.execute("DELETE FROM members")

    def enter(self, member: Member) -> None:
        """Put a connection in a room, out of any other."""
        self._database.execute(
            "REPLACE INTO members (connection_id, room, name, endpoint) VALUES (?, ?, ?, ?)",
            (member.connection_id, member.room, member.name, member.endpoint),
        )

    def leave(self, connection_id: str) -> bool:
        """Forget a connection; False if it was in no room."""
        return self._database.execute("DELETE FROM members WHERE connection_id = ?", (connection_id,)).rowcount > 0

    def find(self, connection_id: str) -> Member | None:
        """The connection's place, or None if it is in no room."""
        row = self._database.execute(
            "SELECT connection_id, room, name, endpoint FROM members WHERE connection_id = ?", (connection_id,)
        ).fetchone()
        return member_of(row) if row else None

    def members(self, room: str) -> list[Member]:
        """Everybody in a room, first come first."""
        rows = self._database.execute(
            "SELECT connection_id, room, name, endpoint FROM members WHERE room = ? ORDER BY rowid", (room,)
        )
        return [member_of(row) for row in rows]


def member_of(row: tuple[str, str, str, str]) -> Member:
    """A row of the database as what it means."""
    connection_id, room, name, endpoint = row
    return Member(connection_id=connection_id, room=room, name=name, endpoint=endpoint)


@functools.lru_cache(maxsize=16)
def callback_client(endpoint: str) -> Any:
    """A boto3 client for the connections behind one endpoint: a callback URL up to `/@connections/`.

    boto3 signs each call and wants a region and a key for that, whether or not the gateway looks at signatures. These
    are made up, so no AWS account or configuration is needed. Where signatures are checked, use real ones.
    """
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="example",
        aws_secret_access_key="example",  # noqa: S106 - made up, and no secret
        # A push that got no answer may have arrived: making it again could say things twice.
        config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}, proxies={}),
    )


class Chat:
    """What each event means for the rooms, and who hears of it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def answer(self, event: Event) -> Reply | None:
        """Do what the event asks; what to reply to its sender, if anything."""
        try:
            match event.route_key:
                case "$connect":
                    pass  # Anybody may come in. Nobody is in a room yet.
                case "$disconnect":
                    self.leave(event)
                case "join":
                    return self.join(event)
                case "say":
                    self.say(event)
                case "who":
                    return self.who(event)
                case _:
                    raise MessageError("Send a JSON object whose action is join, say, who or ping")
        except MessageError as error:
            return {"type": "error", "message": str(error)}
        return None

    def join(self, event: Event) -> Reply:
        message = fields(event)
        room, name = label(message, "room"), label(message, "name")
        try:
            callback_client(event.endpoint)  # Better now than in the midst of telling a whole room.
        except ValueError as error:
            raise MessageError("You can't be pushed to under the host name you connected to") from error
        member = Member(connection_id=event.connection_id, room=room, name=name, endpoint=event.endpoint)
        before = self._rooms.find(event.connection_id)
        if member != before:
            self._rooms.enter(member)
            if before is not None:
                self.announce("left", before)
            self.announce("joined", member)
        return self.described("welcome", member)

    def say(self, event: Event) -> None:
        member = self.place(event)
        text = fields(event).get("text")
        if not isinstance(text, str) or not text.strip():
            raise MessageError("text must be a string with something in it")
        if len(text) > LONGEST_TEXT:
            raise MessageError(f"text may have {LONGEST_TEXT} characters, this has {len(text)}")
        said = {"type": "said", "room": member.room, "name": member.name, "text": whole(text), "at": now()}
        self.tell(member.room, said, sender=member)

    def who(self, event: Event) -> Reply:
        return self.described("here", self.place(event))

    def leave(self, event: Event) -> None:
        member = self._rooms.find(event.connection_id)
        if member is not None and self._rooms.leave(event.connection_id):
            self.announce("left", member)

    def place(self, event: Event) -> Member:
        """Where the sender is. Raises MessageError if that is nowhere."""
        member = self._rooms.find(event.connection_id)
        if member is None:
            raise MessageError("Join a room first")
        return member

    def described(self, kind: str, member: Member) -> Reply:
        """A message of this kind about a member, with everybody who is in the room now."""
        here = [other.name for other in self._rooms.members(member.room)]
        return {"type": kind, "room": member.room, "name": member.name, "here": here, "at": now()}

    def announce(self, kind: str, member: Member) -> None:
        """Tell the others of a room that a member joined or left."""
        others = [other for other in self._rooms.members(member.room) if other.connection_id != member.connection_id]
        self.push_all(others, self.described(kind, member))

    def tell(self, room: str, message: Reply, *, sender: Member) -> None:
        """Send a message to everybody in a room; the sender's copy is marked `you`."""
        # The sender gets a copy the same way as the others, so that all see one order.
        others = [member for member in self._rooms.members(room) if member != sender]
        self.push_all([sender], message | {"you": True})
        self.push_all(others, message)

    def push_all(self, members: list[Member], message: Reply) -> None:
        """Push one message to each of these, and forget those who are gone."""
        data = encoded(message)
        gone = [member for member in members if not self.push(member, data)]
        # All are removed before the first is announced, or each would be pushed to once more.
        gone = [member for member in gone if self._rooms.leave(member.connection_id)]
        for member in gone:
            self.announce("left", member)

    def push(self, member: Member, data: bytes) -> bool:
        """Push to one connection; False if that connection is no more."""
        client = callback_client(member.endpoint)
        try:
            client.post_to_connection(ConnectionId=member.connection_id, Data=data)
        except client.exceptions.GoneException:
            # Its $disconnect didn't reach us: we were down, or the gateway was.
            log.info("%s is gone", member.connection_id)
            return False
        except client.exceptions.LimitExceededException:
            log.warning("%s reads too slowly and misses a message", member.connection_id)
        except client.exceptions.PayloadTooLargeException:
            log.warning("a message of %d bytes is more than the gateway sends", len(data))
        except ClientError as error:
            log.warning("pushing to %s failed: %s", member.connection_id, error)
        except BotoCoreError as error:
            log.warning("the gateway can't be reached for pushing: %s", error)
        return True


def fields(event: Event) -> dict[str, Any]:
    """The message as a JSON object. Raises MessageError if it is none."""
    try:
        message = json.loads(event.body)
    except (ValueError, RecursionError) as error:
        raise MessageError("The message is not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("The message is not a JSON object")
    return message


def label(message: dict[str, Any], key: str) -> str:
    """A room's or a person's name out of a message. Raises MessageError if it won't do."""
    value = message.get(key)
    name = " ".join(whole(value).split()) if isinstance(value, str) else ""
    if not 1 <= len(name) <= LONGEST_NAME:
        raise MessageError(f"{key} must be a string of 1 to {LONGEST_NAME} characters")
    return name


def whole(text: str) -> str:
    r"""The text without halves of characters, which JSON allows (`"\ud800"`) and UTF-8 doesn't."""
    return text.encode(errors="replace").decode()


def encoded(message: Reply) -> bytes:
    """The message as JSON, readable in any alphabet."""
    return json.dumps(message, ensure_ascii=False).encode()


def now() -> int:
    """Milliseconds since 1970, for clients to show and to order by."""
    return time.time_ns() // 1_000_000


class Server(ThreadingHTTPServer):
    """Serves the gateway's calls and the page, each connection in its thread."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_port = False  # Or a second backend could share the port unnoticed.

    def __init__(self, host: str, port: int, rooms: Rooms, endpoint: str | None) -> None:
        super().__init__((host, port), Handler)
        self.chat = Chat(rooms)
        self.endpoint = endpoint
        # One event at a time: everybody in a room hears of things in the same order.
        self.turn = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what failed, unless it is that the other side went away."""
        if not isinstance(sys.exception(), ConnectionError):
            log.exception("a connection failed")


class Handler(BaseHTTPRequestHandler):
    """The HTTP side: headers and body in, an Event out; a Reply in, a response out."""

    server: Server
    protocol_version = "HTTP/1.1"  # The gateway keeps its connections and calls again on them.
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body leave together.

    def do_GET(self) -> None:
        """The page, for a browser."""
        if self.path.partition("?")[0] == "/":
            self.respond(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        else:
            self.refuse(404, "There is only the page, at /")

    def do_POST(self) -> None:
        """One event from the gateway: 200 with the reply, or 204 if there is none."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True  # What follows can't be told from a next request.
            self.refuse(413, f"A body needs a Content-Length of at most {LONGEST_BODY}")
            return
        body = self.rfile.read(int(length))
        names = ("X-Connection-Id", "X-Route-Key", "X-Callback-Url")
        connection_id, route_key, callback_url = (self.headers.get(name, "") for name in names)
        if self.path != "/ws":
            self.refuse(404, "Events go to /ws")
        elif not (connection_id and route_key and callback_url):
            self.refuse(400, f"An event has the headers {', '.join(names)}: routes.yaml maps them")
        else:
            # In `wsgateway dev` the URL names the Host the client asked for. Where clients aren't to be trusted with
            # naming whom this server calls, CALLBACK_ENDPOINT says it instead.
            endpoint = self.server.endpoint or callback_url.partition("/@connections/")[0]
            self.handle_event(Event(connection_id=connection_id, route_key=route_key, endpoint=endpoint, body=body))

    def handle_event(self, event: Event) -> None:
        """Let the chat answer an event, in its turn."""
        log.info("%s %s", event.route_key, event.connection_id)
        try:
            with self.server.turn:
                reply = self.server.chat.answer(event)
        except Exception:
            log.exception("%s of %s failed", event.route_key, event.connection_id)
            self.refuse(500, "Something is wrong here, and was logged")
        else:
            if reply is None:
                self.respond(204)
            else:
                self.respond(200, encoded(reply), "application/json")

    def refuse(self, status: int, message: str) -> None:
        """Answer that a request won't do, and why."""
        self.respond(status, encoded({"type": "error", "message": message}), "application/json")

    def respond(self, status: int, body: bytes = b"", content_type: str = "") -> None:
        """Write a whole response."""
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing: events are logged by name, in handle_event."""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="backend.py", description="The sample chat's backend, alone.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on, 0 for any (%(default)s)")
    parser.add_argument("--database", default="chat.sqlite3", help="the SQLite file of the rooms (%(default)s)")
    parser.add_argument("--forget", action="store_true", help="begin with empty rooms: the gateway is a new one, too")
    parser.add_argument("--ready-file", help="a file to write {url, pid} to once listening, as JSON")
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="backend: %(message)s")
    os.environ.pop("AWS_PROFILE", None)  # boto3 would insist that the profile exists, and we need none.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    endpoint = os.environ.get("CALLBACK_ENDPOINT")
    try:
        if endpoint:
            callback_client(endpoint)
    except ValueError:
        sys.exit(f"chat backend: CALLBACK_ENDPOINT is no URL like http://127.0.0.1:9090/dev: {endpoint}")
    try:
        rooms = Rooms(options.database)
        if options.forget:
            rooms.clear()
    except sqlite3.Error as error:
        sys.exit(f"chat backend: the database {options.database} can't be used: {error}")
    try:
        server = Server(options.host, options.port, rooms, endpoint)
    except (OSError, OverflowError) as error:
        sys.exit(f"chat backend: can't listen on {options.host} port {options.port}: {error}")
    with server:
        url = f"http://{options.host}:{server.server_port}"
        print(f"chat backend ready {url} pid={os.getpid()}", flush=True)
        if options.ready_file:
            ready = Path(f"{options.ready_file}.new")
            ready.write_text(json.dumps({"url": url, "pid": os.getpid()}))
            ready.rename(options.ready_file)  # So that a reader finds all of it or nothing.
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
