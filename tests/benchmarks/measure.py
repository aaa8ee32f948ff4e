"""What the benchmarks share: the record, and how two things are compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

REQUEST = (
    '{"fields": ["CheckingStatus", "LoanDuration", "CreditHistory", "LoanPurpose", "LoanAmount", '
    '"ExistingSavings", "EmploymentDuration", "InstallmentPercent", "Sex", "OthersOnLoan", '
    '"CurrentResidenceDuration", "OwnsProperty", "Age", "InstallmentPlans", "Housing", '
    '"ExistingCreditsCount", "Job", "Dependents", "Telephone", "ForeignWorker"], "values": '
    '[["less_0", 4, "all_credits_paid_back", "car_new", 250, "less_100", "less_1", 2, "male", '
    '"none", 1, "real_estate", 26, "stores", "rent", 1, "unskilled", 1, "none", "yes"]]}'
)
RESPONSE = (
    '{"fields": ["probability", "prediction"], "values": '
    '[[[0.8996331274776279, 0.10036687252237211], "No Risk"]]}'
)


class Comparison(NamedTuple):
    """One line of the table; times are microseconds for one record."""

    what: str
    ours: float
    against: str
    theirs: float
    ratio: float
    must: float
    goal: float


def compare(
    ours: Callable[[], float], theirs: Callable[[], float], *, turns: int
) -> tuple[float, float, float]:
    """Medians of both and of the ratio of each turn; one turn before does not count."""
    pairs = [(ours(), theirs()) for _ in range(turns + 1)][1:]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )
