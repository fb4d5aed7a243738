"""What a scenario is."""

from typing import Protocol

from loadtest.bench import Bench, Options
from loadtest.results import Row


class Scenario(Protocol):
    """One question, asked of the gateway and of what it is compared with."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def about(self) -> str:
        """One line for --help."""

    def steps(self, options: Options) -> int:
        """How many measurements it takes, for the progress bar."""

    def run(self, bench: Bench) -> list[Row]:
        """Measure.

        Raises: LoadTestError, if it cannot.
        """
