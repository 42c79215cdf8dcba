"""How to talk to Kling: the settings of a connection, two HTTP transports, the flows, and the clients that drive them.

May import `errors`, `redaction`, `storage` and `api`. Only this folder imports requests and aiohttp.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
