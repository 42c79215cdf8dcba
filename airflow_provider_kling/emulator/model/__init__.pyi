# The public names of this folder; `__init__.py` loads each when it is first used.
from .account import Account as Account
from .bill import Pack as Pack
from .billing import Billing as Billing
from .clock import Clock as Clock
from .faults import Fault as Fault, Faults as Faults
from .guard import Guard as Guard, skewed_date as skewed_date
from .inputs import (
    RISK as RISK,
    failure_of_name as failure_of_name,
    failure_of_size as failure_of_size,
    fingerprint as fingerprint,
    first_failure as first_failure,
)
from .journal import Entry as Entry, Journal as Journal
from .links import Link as Link, Links as Links
from .moderation import check_content as check_content, is_risky as is_risky
from .replies import (
    Reply as Reply,
    no_such_path as no_such_path,
    plain as plain,
    refused as refused,
    succeeded as succeeded,
    to_bytes as to_bytes,
)
from .settings import Settings as Settings
from .task import Order as Order, Plan as Plan, Record as Record, create_data as create_data
