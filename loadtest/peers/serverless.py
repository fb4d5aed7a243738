"""serverless-offline: `python -m loadtest.peers.serverless READY_FILE FOLDER RUNTIME HANDLER [in-process]`.

FOLDER holds the handler and node_modules; the service's definition is written there. Telemetry and notices are off:
nothing leaves this machine.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from loadtest.native import program
from loadtest.peers.ready import announce

START_SECONDS = 80
DEFINITION = """\
service: bench
frameworkVersion: "3"
provider:
  name: aws
  runtime: {runtime}
  stage: dev
  websocketsApiRouteSelectionExpression: $request.body.action
functions:
  echo:
    handler: {handler}
    events:
      - websocket: {{route: $connect}}
      - websocket: {{route: send, routeResponseSelectionExpression: $default}}
plugins: [serverless-offline]
custom:
  serverless-offline:
    host: 127.0.0.1
    httpPort: {http}
    websocketPort: {websocket}
    lambdaPort: {function}
    useInProcess: {in_process}
"""
QUIET = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_DEPRECATION_DISABLE": "*", "CI": "1"}


def free_ports(count: int) -> list[int]:
    """Ports nobody has at the moment; serverless-offline takes no 0."""
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in bound]
    for one in bound:
        one.close()
    return ports


def main(ready_file: str, folder: str, runtime: str, handler: str, mode: str = "") -> None:
    """Serve until ended, then end what was started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ports = dict(zip(("http", "websocket", "function"), free_ports(3), strict=True))
    in_process = "true" if mode == "in-process" else "false"
    text = DEFINITION.format(runtime=runtime, handler=handler, in_process=in_process, **ports)
    (Path(folder) / "serverless.yml").write_text(text)
    # HOME: it would leave a file there. PATH: functions are to run on this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    server = subprocess.Popen(
        [program("pin"), "any", "0", "node", "node_modules/serverless/bin/serverless.js", "offline", "start"],
        cwd=folder,
        env={**os.environ, **QUIET, "HOME": folder, "PATH": path},
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_for(server, ports["websocket"])
        announce(ready_file, ports["websocket"])
        server.wait()
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)
        server.kill()


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    """Until it listens. It says so in no other way."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"serverless-offline ended with {server.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit(f"serverless-offline did not listen within {START_SECONDS} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
