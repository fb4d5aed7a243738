"""What a load test can say went wrong."""


class LoadTestError(Exception):
    """The test could not be run; the message is for the one who started it."""
