"""Input images and the videos made from them: loading, decoding, storing, drawing and encoding.

PIL and PyAV are imported only here, where they are used. May import `errors`, `api` and the model.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
