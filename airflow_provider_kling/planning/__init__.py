"""What a run will make and cost, known before anything is spent; and whether the account's packs will do.

May import everything below operators. `scenes`, `tally` and `describe` are pure; `checking` opens images, `earlier` and `account`
read results and ask Kling, which costs nothing.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
