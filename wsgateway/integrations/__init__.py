"""One file per integration type: what a route does with a message."""
