// Runs a Node handler as Lambda's own runtime does: CommonJS and ES modules, async and callback handlers.
//
// It gets invocations as frames over the socket whose number is its first argument; the gateway's `channel.py` says how
// they look. Errors are worded as AWS's runtime interface client words them, for handlers' owners know those.
"use strict";

const fs = require("fs");
const net = require("net");
const path = require("path");
const { Writable } = require("stream");
const { createRequire, syncBuiltinESMExports } = require("module");
const { pathToFileURL } = require("url");

const MAX_RESULT = 6291556;
const PIECE = 65536; // bytes of a streamed answer in one frame
const CALLBACKS_END = 24; // Lambda developer guide, "Define Lambda function handler in Node.js": none from 24 on

const env = process.env;
const socket = new net.Socket({ fd: Number(process.argv[2]), readable: true, writable: true });
process.argv.splice(1, 2, path.join(env.LAMBDA_TASK_ROOT, "bootstrap"));

class LoadError extends Error {
  constructor(kind, text, cause) {
    super(text);
    this.name = kind;
    if (cause && cause.stack) this.stack = `${kind}: ${text}\n${cause.stack}`;
  }
}

/** Write a frame: its kind, a length, the content; `length` is the content's in bytes. */
function send(kind, content, length = Buffer.byteLength(content)) {
  const frame = Buffer.allocUnsafe(5 + length);
  frame[0] = kind.charCodeAt(0);
  frame.writeUInt32BE(length, 1);
  frame.write(content, 5, length, "utf8");
  return socket.write(frame);
}

/** An error as AWS reports it. */
function errorOf(error) {
  if (error instanceof Error || (error && error.name && error.message !== undefined && error.stack)) {
    const said = { errorType: error.name, errorMessage: error.message, trace: (error.stack || "").split("\n") };
    return JSON.stringify(said).length <= MAX_RESULT ? said : { ...said, errorMessage: "", trace: [] };
  }
  return { errorType: typeof error, errorMessage: String(error).slice(0, 100000), trace: [] };
}

// Loading

function nearestType(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")).type;
    } catch (error) {
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    }
    if (folder === env.LAMBDA_TASK_ROOT || folder === path.dirname(folder)) return undefined;
  }
}

/** ES modules don't read NODE_PATH: look where it points, when nothing nearer has the package. */
function searchNodePath() {
  const { register } = require("module");
  if (!env.NODE_PATH || !register) return;
  const hooks = `const places = ${JSON.stringify(
    env.NODE_PATH.split(path.delimiter).filter(Boolean).map((folder) => pathToFileURL(path.join(folder, "_")).href),
  )};
  export async function resolve(specifier, context, next) {
    try { return await next(specifier, context); } catch (error) {
      if (error.code === "ERR_MODULE_NOT_FOUND" && !/^[./]|^\\w+:/.test(specifier)) {
        for (const parentURL of places) {
          try { return await next(specifier, { ...context, parentURL }); } catch { continue; }
        }
      }
      throw error;
    }
  }`;
  register("data:text/javascript," + encodeURIComponent(hooks));
}

async function load(written) {
  const folder = path.dirname(written);
  const last = path.basename(written);
  const dot = last.indexOf(".");
  if (dot < 1 || dot === last.length - 1) {
    throw new LoadError("Runtime.MalformedHandlerName", `Bad handler '${written}'`);
  }
  const base = path.resolve(env.LAMBDA_TASK_ROOT, folder, last.slice(0, dot));
  const file = [".js", ".mjs", ".cjs", "/index.js"].map((end) => base + end).find((name) => fs.existsSync(name));
  if (file === undefined) {
    const shown = `${last.slice(0, dot)}`;
    throw new LoadError("Runtime.ImportModuleError", `Error: Cannot find module '${shown}'`);
  }
  let found;
  try {
    if (file.endsWith(".mjs") || (file.endsWith(".js") && nearestType(file) === "module")) {
      searchNodePath();
      found = await import(pathToFileURL(file).href);
    } else {
      found = createRequire(file)(file);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw new LoadError("Runtime.UserCodeSyntaxError", String(error), error);
    if (error && ["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error.code)) {
      throw new LoadError("Runtime.ImportModuleError", String(error), error);
    }
    throw error;
  }
  for (const name of last.slice(dot + 1).split(".")) found = found && found[name];
  if (found === undefined) {
    throw new LoadError("Runtime.HandlerNotFound", `${written} is undefined or not exported`);
  }
  if (typeof found !== "function") throw new LoadError("Runtime.HandlerNotFound", `${written} is not a function`);
  const version = Number((/^AWS_Lambda_nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || "") || [])[1]);
  if (version >= CALLBACKS_END && found.length >= 3 && found[STREAMS] !== "response") {
    throw new LoadError(
      "Runtime.CallbackHandlerDeprecated",
      "AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify " +
        "this function to use a supported handler signature to use Node.js 24 or later.",
    );
  }
  return found;
}

// Streamed answers (Lambda developer guide, "Writing response streaming-enabled Lambda functions")

const STREAMS = Symbol.for("aws.lambda.runtime.handler.streaming");
const HIGH_WATER = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");
const DELIMITER = new Uint8Array(8); // between the metadata and the body

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMS] = "response";
    if (options && typeof options.highWaterMark === "number") handler[HIGH_WATER] = options.highWaterMark;
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    static from(stream, metadata) {
      stream.setContentType("application/vnd.awslambda.http-integration-response");
      const text = JSON.stringify(metadata);
      stream._onBeforeFirstWrite = (write) => {
        write(text);
        write(DELIMITER);
      };
      return stream;
    }
  },
};

/** What a streaming handler writes its answer to; it goes out no faster than the gateway takes it. */
class ResponseStream extends Writable {
  constructor(highWaterMark) {
    super(highWaterMark === undefined ? {} : { highWaterMark });
    this.begun = false;
  }

  /** The gateway knows answers by what they begin with; the type is looked at by nobody. */
  setContentType() {
    if (this.begun) throw Object.assign(new Error("Cannot set content-type, too late."), { name: "InvalidStreamingOperation" });
  }

  write(chunk, ...rest) {
    return super.write(sendable(chunk), ...rest);
  }

  end(chunk, ...rest) {
    return typeof chunk === "function" || chunk === undefined || chunk === null
      ? super.end(chunk, ...rest)
      : super.end(sendable(chunk), ...rest);
  }

  begin() {
    if (this.begun) return;
    this.begun = true;
    send("S", "");
    if (this._onBeforeFirstWrite) this._onBeforeFirstWrite((data) => sendPieces(Buffer.from(data)));
  }

  _write(chunk, encoding, done) {
    this.begin();
    sendPieces(chunk, done);
  }

  _final(done) {
    this.begin();
    done();
  }
}

function sendable(chunk) {
  return typeof chunk === "string" || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
}

function sendPieces(data, done) {
  for (let at = 0; at < data.length; at += PIECE) {
    const piece = data.subarray(at, at + PIECE);
    const head = Buffer.allocUnsafe(5);
    head[0] = "P".charCodeAt(0);
    head.writeUInt32BE(piece.length, 1);
    socket.write(head);
    socket.write(piece, at + PIECE < data.length ? undefined : done);
  }
  if (!data.length && done) done();
}

// Invocations

// What the environment says is the same for every invocation; looking there is slow.
const about = {
  functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
  functionName: env.AWS_LAMBDA_FUNCTION_NAME,
  memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
};

// The trace id is different for every invocation, and the C library's setenv, which process.env calls, keeps each value
// it is ever given (glibc before 2.41). So this one lives beside the environment, and shows in it.
const TRACE = "_X_AMZN_TRACE_ID";
let trace = (env[TRACE] = "");
process.env = new Proxy(env, {
  get: (target, key) => (key === TRACE ? trace : target[key]),
  set(target, key, value) {
    if (key === TRACE) trace = String(value);
    else target[key] = value;
    return true;
  },
});
syncBuiltinESMExports(); // for `import { env } from "node:process"`

let handler;
let current = null; // the invocation under way

class Invocation {
  constructor(requestId, deadline) {
    this.requestId = requestId;
    this.deadline = deadline;
    this.waits = true; // callbackWaitsForEmptyEventLoop
    this.promised = false;
    this.outcome = null; // [error, result], once the handler has called back and the event loop is to empty first
  }

  /** What ends a callback handler: at once, or when there is nothing left to do. */
  callBack(error, result) {
    if (current !== this || this.outcome) return;
    this.outcome = [error, result];
    // Node empties the loop only while we don't hold it: the socket is let go of during an invocation.
    if (!this.waits) this.end(error, result);
  }

  /** End in an error or a result. */
  end(error, result) {
    if (current !== this) return;
    let kind = "O";
    let content;
    if (error !== null && error !== undefined) {
      kind = "E";
      const said = errorOf(error);
      process.stderr.write(`ERROR\tInvoke Error\t${JSON.stringify(said)}\n`);
      content = JSON.stringify(said);
    } else {
      try {
        content = JSON.stringify(result === undefined ? null : result);
        if (content === undefined) content = "null"; // a function or a symbol
      } catch (fault) {
        kind = "E";
        const said = { errorType: "Runtime.MarshalError", errorMessage: `Unable to stringify response body: ${fault.message}`, trace: [] };
        content = JSON.stringify(said);
      }
    }
    let length = Buffer.byteLength(content);
    if (length > MAX_RESULT) {
      kind = "E";
      content = JSON.stringify({
        errorType: "Function.ResponseSizeTooLarge",
        errorMessage: `Response payload size exceeded maximum allowed payload size (${MAX_RESULT} bytes).`,
      });
      length = Buffer.byteLength(content);
    }
    current = null;
    socket.ref();
    send(kind, content, length);
  }

  /** Let a streaming handler write its answer; it ends when both the handler and what it writes to have. */
  async stream(event, context) {
    const answer = new ResponseStream(handler[HIGH_WATER]);
    const written = new Promise((resolve, reject) => {
      answer.once("finish", resolve);
      answer.once("error", reject);
      answer.once("close", () => reject(new Error("the response stream was closed before its end")));
    });
    written.catch(() => {}); // the handler may fail first
    try {
      const result = handler(event, answer, context);
      if (result === null || typeof result !== "object" || typeof result.then !== "function") {
        throw new Error("Streaming does not support non-async handlers.");
      }
      this.promised = true;
      if ((await result) !== undefined) console.warn("Streaming handlers ignore return values.");
      await written;
    } catch (error) {
      answer.on("error", () => {});
      answer.destroy();
      this.end(error === undefined || error === null ? String(error) : error);
      return;
    }
    if (current !== this) return;
    current = null;
    socket.ref();
    send("O", "");
  }

  /** The last argument of a handler (Lambda developer guide, "Using the Lambda context object in Node.js"). */
  context(arn, clientContext) {
    const invocation = this;
    const now = (error, result) => {
      invocation.waits = false;
      invocation.callBack(error, result);
    };
    return {
      get callbackWaitsForEmptyEventLoop() {
        return invocation.waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        invocation.waits = Boolean(value);
      },
      ...about,
      clientContext: clientContext ? JSON.parse(clientContext) : undefined,
      identity: undefined,
      invokedFunctionArn: arn,
      awsRequestId: invocation.requestId,
      getRemainingTimeInMillis: () => Math.max(0, invocation.deadline - Date.now()),
      succeed: (result) => now(null, result),
      fail: (error) => now(error === undefined || error === null ? new Error("handled") : error),
      done: (error, result) => now(error, result),
    };
  }
}

function invoke(head, payload) {
  const [requestId, deadline, arn, traceId, ...rest] = head.split("\n");
  const invocation = (current = new Invocation(requestId, Number(deadline)));
  trace = traceId;
  socket.unref();
  let event;
  try {
    event = JSON.parse(payload);
  } catch (error) {
    invocation.end({ name: "Runtime.UnmarshalError", message: String(error), stack: "" });
    return;
  }
  if (handler[STREAMS] === "response") {
    invocation.stream(event, invocation.context(arn, rest.join("\n")));
    return;
  }
  try {
    const result = handler(
      event,
      invocation.context(arn, rest.join("\n")),
      (error, value) => invocation.callBack(error, value),
    );
    if (result !== null && typeof result === "object" && typeof result.then === "function") {
      invocation.promised = true;
      result.then(
        (value) => invocation.end(null, value),
        (error) => invocation.end(error === undefined || error === null ? String(error) : error),
      );
    }
  } catch (error) {
    invocation.end(error === undefined || error === null ? String(error) : error);
  }
}

const NEVER_SETTLED = {
  name: "Runtime.NodeJsExit",
  message:
    "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that " +
    "was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#process_exit_codes",
  stack: "Runtime.NodeJsExit",
};

process.on("beforeExit", () => {
  // Nothing is left to do: what a callback handler said counts now; one that said nothing gave nothing.
  if (!current) return;
  if (current.promised && !current.outcome) current.end(NEVER_SETTLED);
  else current.end(...(current.outcome || [null, null]));
});

function fatal(error, code) {
  const said = errorOf(error);
  process.stderr.write(`ERROR\tUncaught Exception\t${JSON.stringify(said)}\n`);
  const content = JSON.stringify(said);
  if (current || !handler) {
    send(current ? "L" : "I", content);
    current = null;
    socket.end(() => process.exit(code));
    setTimeout(() => process.exit(code), 1000);
  } else {
    process.exit(code);
  }
}

process.on("uncaughtException", (error) => fatal(error, 129));
process.on("unhandledRejection", (reason) => {
  const error = new Error(reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason));
  error.name = "Runtime.UnhandledPromiseRejection";
  error.stack = `${error.name}: ${reason && reason.stack ? reason.stack : reason}`;
  fatal(error, 128);
});

// The socket

let pending = Buffer.alloc(0);
let wanted = 8;
let chunks = [];
let size = 0;

function receive(data) {
  chunks.push(data);
  size += data.length;
  if (size < wanted) return;
  pending = chunks.length === 1 ? data : Buffer.concat(chunks);
  while (pending.length >= 8) {
    const head = pending.readUInt32BE(0);
    const length = 8 + head + pending.readUInt32BE(4);
    if (pending.length < length) {
      wanted = length;
      break;
    }
    const frame = pending.subarray(8, length);
    pending = pending.subarray(length);
    wanted = 8;
    invoke(frame.toString("utf8", 0, head), frame.toString("utf8", head));
  }
  chunks = pending.length ? [pending] : [];
  size = pending.length;
}

socket.on("data", receive);
socket.on("end", () => process.exit(0));
socket.on("error", () => process.exit(0));

load(env._HANDLER).then(
  (found) => {
    handler = found;
    send("R", "");
  },
  (error) => fatal(error, 1),
);
