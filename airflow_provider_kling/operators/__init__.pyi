from .batch import KlingEffectBatchOperator as KlingEffectBatchOperator
from .charges import KlingChargesOperator as KlingChargesOperator
from .effect import KlingEffectOperator as KlingEffectOperator
