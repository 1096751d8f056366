"""A table of outcomes below the tests, where properties were tried."""

import pytest

from tests.cases.outcomes import COUNTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reader in dict.fromkeys(reader for reader, _ in sorted(COUNTED)):
        outcomes = {outcome: number for (other, outcome), number in COUNTED.items() if other == reader}
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
        terminalreporter.write_line(f"{reader}: {told}")
