"""Connections to Redis, for whoever needs some: the registry of nodes, and integrations that publish."""
