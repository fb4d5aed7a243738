"""What is wrong with a template: where its rendering is stopped."""


class RenderError(Exception):
    """A rendering was stopped: it exceeds a budget, or has a pattern, path or template text that can't be run."""
