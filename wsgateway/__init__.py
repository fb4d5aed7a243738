"""wsgateway: a self-hosted, WebSocket-first realtime messaging gateway."""

__version__ = "0.1.0"
