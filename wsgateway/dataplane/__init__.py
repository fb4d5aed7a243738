"""What happens to a handshake, a message and a push. Opens no socket."""
