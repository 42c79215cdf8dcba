# The public names of this folder; `__init__.py` loads each when it is first used.
from .decision import (
    APPROVE as APPROVE,
    REJECT as REJECT,
    decision_of as decision_of,
    rows_with_video as rows_with_video,
    write_rejected as write_rejected,
)
from .one_video import (
    LIKE as LIKE,
    MORE as MORE,
    STOP as STOP,
    answer_of as answer_of,
    ask_about as ask_about,
    liked_video as liked_video,
)
from .outcome import Review as Review, publish_reviewed as publish_reviewed, reviewed as reviewed
from .question import ask as ask, question as question
