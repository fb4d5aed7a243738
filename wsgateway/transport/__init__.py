"""The listening sockets: HTTP/1.1 and WebSocket, strict at the edge."""
