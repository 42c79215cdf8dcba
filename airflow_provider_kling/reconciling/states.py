"""What becomes of a charge, or of a task without one, when charges and results are compared."""

from __future__ import annotations

MATCHED = "matched"
PAID_IN_MONEY = "paid_in_money"
UNITS_DIFFER = "units_differ"
REFUNDED = "refunded"
UNITS_UNSAID = "units_unsaid"
UNKNOWN = "unknown"
NOT_CHARGED = "not_charged"
TOO_EARLY = "too_early"
NOT_COMPARED = "not_compared"

# In the order in which pages and tables show them: what needs a person comes first.
MEANINGS = {
    UNKNOWN: "charged for a task that is in none of the results",
    NOT_CHARGED: "the result says that the task cost units, and no charge is listed",
    UNITS_DIFFER: "charged with other units than the result says",
    REFUNDED: "Kling has given units back, so that the sum differs from the result",
    TOO_EARLY: "fewer units than the result says, or none, so shortly after the task's end that more may be listed later",
    UNITS_UNSAID: "charged for a task whose result does not say what it cost",
    PAID_IN_MONEY: "paid with money, whose number of units Kling does not tell",
    MATCHED: "charged with what the result says",
    NOT_COMPARED: "no results were given",
}
STATES = tuple(MEANINGS)
WRONG = (UNKNOWN, NOT_CHARGED, UNITS_DIFFER)  # what a person should look at
