"""Mapping templates: the Velocity template language, compiled."""
