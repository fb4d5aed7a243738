"""Promises under faults: nodes, Redis and links are broken while every answer is recorded and judged."""
