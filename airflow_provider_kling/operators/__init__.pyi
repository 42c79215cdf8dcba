from .batch import KlingEffectBatchOperator as KlingEffectBatchOperator
from .effect import KlingEffectOperator as KlingEffectOperator
