"""URIs of assets with the scheme `kling`: `kling://<connection id>` stands for the Kling account of that connection.

Airflow calls `sanitize_uri` for each asset with such a URI, when a DAG file is parsed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEME = "kling"
_CONN_ID = re.compile(r"[A-Za-z0-9_.-]+")  # Airflow's own ids, but for what has a meaning of its own in a URI


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """The URI in its one form, `kling://<connection id>`, so that two ways to write it are one asset.

    Raises ValueError, as Airflow expects it, for a URI without a connection id, or with more than it.
    """
    written = f"The asset URI {SCHEME}://{uri.netloc.rpartition('@')[2]}{uri.path}"
    if not _CONN_ID.fullmatch(uri.netloc):
        raise ValueError(f"{written} names no connection; wanted is {SCHEME}://<connection id>, like {SCHEME}://kling_default.")
    if uri.path.strip("/") or uri.query:
        raise ValueError(f"{written} has more than a connection id; wanted is {SCHEME}://{uri.netloc}.")
    return uri._replace(path="", query="", fragment="")
