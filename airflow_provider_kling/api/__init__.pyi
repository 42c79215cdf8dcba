# The public names of this folder; `__init__.py` loads each when it is first used.
from .balance import Balance as Balance
from .callbacks import callback_task as callback_task
from .calls import (
    Call as Call,
    Page as Page,
    costs_call as costs_call,
    create_call as create_call,
    get_call as get_call,
    list_call as list_call,
    page_call as page_call,
)
from .charges import (
    FILTERS as FILTERS,
    PAID_WITH as PAID_WITH,
    Charge as Charge,
    ChargePage as ChargePage,
    ChargeQuery as ChargeQuery,
    PaidWith as PaidWith,
    charges_call as charges_call,
)
from .codes import (
    CODES as CODES,
    EXISTS as EXISTS,
    NOT_FOUND as NOT_FOUND,
    NOT_FOUND_ADVICE as NOT_FOUND_ADVICE,
    Refusal as Refusal,
    error_and_advice as error_and_advice,
    is_input_fault as is_input_fault,
    is_moderation as is_moderation,
)
from .credentials import AccessKey as AccessKey, ApiKey as ApiKey, Credentials as Credentials, issuer_of as issuer_of, sign as sign
from .effect_request import EffectRequest as EffectRequest
from .effects import EFFECTS as EFFECTS
from .ids import check_id as check_id
from .images import (
    MAX_IMAGE_BYTES as MAX_IMAGE_BYTES,
    MAX_IMAGE_RATIO as MAX_IMAGE_RATIO,
    MIN_IMAGE_SIDE as MIN_IMAGE_SIDE,
    decode_base64 as decode_base64,
    is_url as is_url,
)
from .kinds import (
    ERROR_KINDS as ERROR_KINDS,
    ErrorKind as ErrorKind,
    error_kind as error_kind,
    failure_kind as failure_kind,
    kling_error_of as kling_error_of,
    known_kind as known_kind,
)
from .known_scenes import (
    STATES as STATES,
    Scene as Scene,
    find_scenes as find_scenes,
    scene_names as scene_names,
    scene_of as scene_of,
    scenes as scenes,
)
from .parsing import shorten as shorten
from .paths import (
    BALANCE_DELAY as BALANCE_DELAY,
    COSTS_INTERVAL as COSTS_INTERVAL,
    COSTS_PATH as COSTS_PATH,
    DEFAULT_BASE_URL as DEFAULT_BASE_URL,
    DEFAULT_PAGE_SIZE as DEFAULT_PAGE_SIZE,
    MAX_CHARGES as MAX_CHARGES,
    MAX_PAGE_NUM as MAX_PAGE_NUM,
    MAX_PAGE_SIZE as MAX_PAGE_SIZE,
    MONEY_CHARGES_PATH as MONEY_CHARGES_PATH,
    UNIT_CHARGES_PATH as UNIT_CHARGES_PATH,
)
from .products import Product as Product, ReceivedRequest as ReceivedRequest, TaskRequest as TaskRequest
from .refusals import refused_image as refused_image, task_failure as task_failure
from .responses import Response as Response
from .server import (
    CreateBody as CreateBody,
    authorize as authorize,
    envelope as envelope,
    read_create as read_create,
    read_page as read_page,
)
from .server_billing import (
    ReceivedChargeQuery as ReceivedChargeQuery,
    read_charge_query as read_charge_query,
)
from .signatures import strip_signature as strip_signature
from .tasks import (
    FAILED as FAILED,
    PROCESSING as PROCESSING,
    SUBMITTED as SUBMITTED,
    SUCCEED as SUCCEED,
    ResourcePack as ResourcePack,
    Task as Task,
    Video as Video,
)
