# The public names of this folder; `__init__.py` loads each when it is first used.
from .balance import KlingBalanceSensor as KlingBalanceSensor
from .task import KlingTaskSensor as KlingTaskSensor
