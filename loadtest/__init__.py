"""Load tests: the gateway beside bare stacks that do the same job. See `python -m loadtest --help`."""
