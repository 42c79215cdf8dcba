"""How saved videos are named: the template `file_name`, its fields, characters that every store takes, and names that are unique.

Pure. May import `errors` alone.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
