"""Load tests: the gateway beside bare stacks that do the same job with nothing around it. `python -m loadtest --help`"""
