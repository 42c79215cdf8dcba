"""What an account costs if its mapped rows are spread over several triggerers: `python benchmarks/day_spread.py [numbers …]`.

Four hours of an account of ten slots that is 85 % in use, with its 24 manifests ten minutes apart.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys

from day_account import KINDS, simulate_account
from day_check import use_of
from day_load import DayLoad

LENGTH = 4 * 3600.0
LOAD = DayLoad(680, "mapped", slots=10, seconds=180.0, length=LENGTH, all_accounts=1)


def measure(triggerers: int) -> dict[str, object]:
    load = LOAD.with_triggerers(triggerers)
    day = simulate_account(load, 0)
    late = [noticed - ended for noticed, ended in zip(sorted(day.noticed), sorted(day.ended), strict=True)]
    return {
        "triggerers": triggerers,
        "requests_per_video": round(len(day.requests) / day.videos, 2),
        **{kind: round(day.count(kind) / day.videos, 3) for kind in KINDS},
        "slot_use": round(use_of(load, day), 3),
        "noticed_after_mean": round(statistics.mean(late), 1),
        "last_video_at_hour": round(max(day.noticed) / 3600, 2),
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for number in map(int, sys.argv[1:] or (1, 2, 4, 8, 13)):
        print(json.dumps(measure(number)), flush=True)
