"""The web server of an emulator: Kling's API, the steering under `/_emulator/`, the videos, and the sender of callbacks.

Only this room knows aiohttp's server. May import `errors`, `redaction`, `api`, the model, the videos and the core.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
