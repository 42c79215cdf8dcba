# The public names of this folder; `__init__.py` loads each when it is first used.
from .factory import Request as Request, kling_effect as kling_effect
from .operator import KlingEffectDecoratedOperator as KlingEffectDecoratedOperator
