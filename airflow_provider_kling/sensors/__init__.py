"""The sensors that DAG files import.

May import everything below; never `operators`. Each import at the top of these modules slows down every DAG file.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
