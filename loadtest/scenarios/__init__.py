"""The scenarios, by the name they have on the command line. One file adds one."""

from loadtest.scenarios.authorized import AUTHORIZED
from loadtest.scenarios.base import Scenario
from loadtest.scenarios.connect import CONNECT
from loadtest.scenarios.functions import FUNCTIONS
from loadtest.scenarios.growth import GROWTH
from loadtest.scenarios.hop import HOP
from loadtest.scenarios.idle import IDLE
from loadtest.scenarios.mapping import MAPPING
from loadtest.scenarios.mock import MOCK
from loadtest.scenarios.neighbours import NEIGHBOURS
from loadtest.scenarios.observed import OBSERVED
from loadtest.scenarios.push import PUSH
from loadtest.scenarios.registry import REGISTRY
from loadtest.scenarios.relay import RELAY
from loadtest.scenarios.rest import REST
from loadtest.scenarios.scrape import SCRAPE
from loadtest.scenarios.templates import TEMPLATES

SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in (
        MOCK,
        RELAY,
        MAPPING,
        PUSH,
        IDLE,
        CONNECT,
        FUNCTIONS,
        NEIGHBOURS,
        HOP,
        REGISTRY,
        GROWTH,
        TEMPLATES,
        AUTHORIZED,
        REST,
        OBSERVED,
        SCRAPE,
    )
}
