# The public names of this folder; `__init__.py` loads each when it is first used.
from .describe import describe_plan as describe_plan, problems_table as problems_table, scenes_table as scenes_table
from .planner import PlanJob as PlanJob, make_plan as make_plan, plan_manifest as plan_manifest
from .question import PATIENCE as PATIENCE, compare as compare, question_of as question_of
from .shortage import warn_if_short as warn_if_short
from .tally import (
    CAPPED as CAPPED,
    ERROR as ERROR,
    FAILED as FAILED,
    INVALID as INVALID,
    MADE as MADE,
    MAKE as MAKE,
    PLAN_STATES as PLAN_STATES,
    RowPlan as RowPlan,
)
