# The public names of this folder; `__init__.py` loads each when it is first used.
from .charges import charges as charges
from .create import KnownIds as KnownIds, create as create
from .create_when_free import SLOT_PAUSE as SLOT_PAUSE, create_when_free as create_when_free
from .describe import describe as describe, describe_adopted as describe_adopted, describe_refusal as describe_refusal
from .earlier import (
    MOST_PAGES as MOST_PAGES,
    MadeInRun as MadeInRun,
    made_for_row as made_for_row,
    made_in_run as made_in_run,
    spent as spent,
)
from .lookup import find as find, look_up as look_up
from .pauses import (
    LONGEST_RETRY_AFTER as LONGEST_RETRY_AFTER,
    LONGEST_TROUBLE_PAUSE as LONGEST_TROUBLE_PAUSE,
    asked_pause as asked_pause,
)
from .save import (
    SavedFiles as SavedFiles,
    file_names as file_names,
    save as save,
    save_files as save_files,
    video_name as video_name,
)
from .spans import RETRY_WAIT as RETRY_WAIT, format_seconds as format_seconds
from .steps import (
    CheckCapacity as CheckCapacity,
    Count as Count,
    Flow as Flow,
    GiveBack as GiveBack,
    LoadRequest as LoadRequest,
    Log as Log,
    Reserve as Reserve,
    Reserved as Reserved,
    Saved as Saved,
    SaveVideo as SaveVideo,
    Sleep as Sleep,
    Step as Step,
)
from .submission import Submission as Submission, attempt_of as attempt_of, external_id_of as external_id_of, run_key as run_key
from .wait import Watch as Watch, wait as wait
