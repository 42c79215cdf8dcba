"""What waits in the triggerer.

May import everything below the operators, `outcomes` and `links` included; never operators or sensors.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
