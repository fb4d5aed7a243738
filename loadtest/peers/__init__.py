"""The bare stacks the gateway is compared with: each does one path and nothing around it. Yardsticks, not examples.

Every one is a program: `python -m loadtest.peers.NAME READY_FILE [BACKEND_PORT]`. It listens on loopback ports of its
own choice and writes `{"public": URL, "internal": URL, "pid": N}` to READY_FILE.
"""
