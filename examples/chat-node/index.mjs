// The chat of examples/chat for Node.js: the same rooms, the same messages, with the AWS SDK for JavaScript v3.
//
// It runs unchanged behind Amazon API Gateway, given a database that all of its execution environments share.
import { DatabaseSync } from "node:sqlite";
import {
  ApiGatewayManagementApiClient,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";

const LONGEST_NAME = 40;
const LONGEST_TEXT = 4000;

const database = new DatabaseSync(process.env.DATABASE ?? "/tmp/chat.sqlite3", { timeout: 5000 });
database.exec(
  "CREATE TABLE IF NOT EXISTS members (connection_id TEXT PRIMARY KEY, room TEXT NOT NULL, name TEXT NOT NULL)",
);

/** A message we can't follow. Its sender is told why. */
class Mistake extends Error {}

/** One event of one connection. The body of the result is the reply to its sender. */
export const handler = async (event) => {
  const { connectionId, domainName, routeKey, stage } = event.requestContext;
  const connections = managementApi(`https://${domainName}/${stage}`);
  let reply;
  try {
    reply = await answer(connections, routeKey, connectionId, event);
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    reply = { type: "error", message: error.message };
  }
  return reply ? { statusCode: 200, body: JSON.stringify(reply) } : { statusCode: 200 };
};

async function answer(connections, routeKey, connectionId, event) {
  switch (routeKey) {
    case "$connect":
      return null; // anybody may come in; nobody is in a room yet
    case "$disconnect":
      return leave(connections, connectionId);
    case "join":
      return join(connections, connectionId, fields(event));
    case "say":
      return say(connections, connectionId, fields(event));
    case "who":
      return described("here", place(connectionId));
    default:
      throw new Mistake("Send a JSON object whose action is join, say, who or ping");
  }
}

const clients = new Map();

/** A client for the connections of one stage; making one takes longer than using it. */
function managementApi(endpoint) {
  if (!clients.has(endpoint)) clients.set(endpoint, new ApiGatewayManagementApiClient({ endpoint }));
  return clients.get(endpoint);
}

// What people ask for

/** Go into a room, out of any other. */
async function join(connections, connectionId, message) {
  const member = { connection_id: connectionId, room: label(message, "room"), name: label(message, "name") };
  const before = find(connectionId);
  if (before?.room !== member.room || before?.name !== member.name) {
    database.prepare("REPLACE INTO members VALUES (?, ?, ?)").run(connectionId, member.room, member.name);
    if (before) await announce(connections, "left", before);
    await announce(connections, "joined", member);
  }
  return described("welcome", member);
}

/** Tell everybody in the room, oneself too. */
async function say(connections, connectionId, message) {
  const { room, name } = place(connectionId);
  const { text } = message;
  if (typeof text !== "string" || !text.trim()) throw new Mistake("text must be a string with something in it");
  const length = [...text].length;
  if (length > LONGEST_TEXT) throw new Mistake(`text may have ${LONGEST_TEXT} characters, this has ${length}`);
  const said = { type: "said", room, name, text: whole(text), at: Date.now() };
  await push(connections, [{ connection_id: connectionId, room, name }], { ...said, you: true });
  await push(connections, others({ connection_id: connectionId, room }), said);
}

/** The connection is no more. */
async function leave(connections, connectionId) {
  const member = find(connectionId);
  if (member && forget(member)) await announce(connections, "left", member);
}

/** Tell the others of a room that somebody joined or left. */
async function announce(connections, kind, member) {
  await push(connections, others(member), described(kind, member));
}

/** A message about a member, with everybody who is in the room now. */
function described(type, { room, name }) {
  return { type, room, name, here: everybody(room).map((each) => each.name), at: Date.now() };
}

// Pushes

/** Push to each of these; who turns out to be gone is removed, and the others are told. */
async function push(connections, members, message) {
  const data = JSON.stringify(message);
  const reached = await Promise.all(members.map((member) => reach(connections, member, data)));
  // All are removed before the first is announced, or each would be pushed to once more.
  const gone = members.filter((member, index) => !reached[index]).filter(forget);
  for (const member of gone) await announce(connections, "left", member);
}

/** Push to one connection; false if that is no more. */
async function reach(connections, member, data) {
  try {
    await connections.send(new PostToConnectionCommand({ ConnectionId: member.connection_id, Data: data }));
  } catch (error) {
    if (error instanceof GoneException) return false;
    // It reads too slowly, or the gateway is away: it misses this one.
    console.warn(`pushing to ${member.connection_id} failed: ${error}`);
  }
  return true;
}

// Rooms

/** Who and where a connection is; undefined if it is in no room. */
const find = (connectionId) => database.prepare("SELECT * FROM members WHERE connection_id = ?").get(connectionId);

/** The same, where that must be somewhere. */
function place(connectionId) {
  const member = find(connectionId);
  if (!member) throw new Mistake("Join a room first");
  return member;
}

/** Who is in a room, first come first. */
const everybody = (room) => database.prepare("SELECT * FROM members WHERE room = ? ORDER BY rowid").all(room);

/** Who else is in a member's room. */
const others = (member) => everybody(member.room).filter((each) => each.connection_id !== member.connection_id);

/** Remove a member; false if somebody else already has. */
const forget = (member) =>
  database.prepare("DELETE FROM members WHERE connection_id = ?").run(member.connection_id).changes > 0;

// Messages

/** The message as a JSON object. */
function fields(event) {
  let message;
  try {
    message = JSON.parse(event.body);
  } catch {
    throw new Mistake("The message is not JSON");
  }
  if (message === null || typeof message !== "object" || Array.isArray(message)) {
    throw new Mistake("The message is not a JSON object");
  }
  return message;
}

/** A room's or a person's name out of a message. */
function label(message, key) {
  const name = typeof message[key] === "string" ? whole(message[key]).trim().replace(/\s+/g, " ") : "";
  const length = [...name].length;
  if (length < 1 || length > LONGEST_NAME) throw new Mistake(`${key} must be a string of 1 to ${LONGEST_NAME} characters`);
  return name;
}

/** The text without halves of characters, which JSON allows ("\ud800") and UTF-8 doesn't. */
const whole = (text) => text.toWellFormed().replaceAll("\ufffd", "?");
