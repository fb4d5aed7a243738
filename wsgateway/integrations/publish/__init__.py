"""PUBLISH: a route hands its messages to a broker, and its answer says that the broker has them. (Ours.)

`publish` is the integration type; `base` says what a publisher is, one file each are those for a kind of broker.
`outlet` gathers what goes to one broker, and `brokers` holds all of them.
"""
