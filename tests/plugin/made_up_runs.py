"""A small server with the plugin's pages and made-up answers in the form of its server half: states that no run makes quickly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from places import ROOT

from airflow_provider_kling.plugin import pages

CLIP = (ROOT / "airflow_provider_kling" / "emulator" / "videos" / "clip.mp4").read_bytes()
VIDEO = {"name": "a.mp4", "src": "api/clip", "kling": None, "expires_at": None, "duration": 2, "path": "/videos/a.mp4"}
STATES = ("succeed", "failed", "invalid", "error", "running", "waiting")
ADDRESS = "/kling/videos?dag_id=d&run_id=r"

_ROW = {
    "effect_scene": "squish",
    "state": "succeed",
    "error": None,
    "error_kind": None,
    "refused_image": None,
    "reason": None,
    "message": None,
    "units": "2.5",
    "task_id": "video.wait",
    "task_state": "success",
    "ui": "/dags/d/runs/r/tasks/video.wait",
    "external_task_id": None,
    "created_at": "2026-11-26T03:00:00Z",
    "updated_at": "2026-11-26T03:01:00Z",
    "images": [],
    "videos": [],
    "columns": {},
}
_RUN = {
    "dag_id": "d",
    "run_id": "r",
    "run_state": "success",
    "started_at": "2026-11-26T03:00:00Z",
    "ended_at": "2026-11-26T03:10:00Z",
    "as_of": "2026-11-26T03:10:00Z",
    "final": True,
    "units": "5",
    "more": 0,
    "report": None,
    "results": None,
    "notes": [],
}


def row(number: int, **values: Any) -> dict[str, Any]:
    """A row with an id of 19 digits, which is more than a number of JavaScript holds."""
    own = {"key": f"k{number}", "row_id": f"row-{number}", "map_index": number, "kling_task_id": str(9007199254740993000 + number)}
    return {**_ROW, **own, **values}


def answer(rows: Iterable[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """The answer with these rows."""
    rows = list(rows)
    counts = {state: sum(one["state"] == state for one in rows) for state in STATES}
    return {**_RUN, "counts": counts, "videos": counts["succeed"], "rows": rows, **values}


class MadeUpRuns:
    """Serves the pages below `/kling`. `answers` are those to come: path below `/kling/` → JSON, or (status, JSON)."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def show(self, rows: Iterable[dict[str, Any]], **values: Any) -> None:
        """Let the run consist of these rows."""
        self.answers["api/dags/d/rows"] = answer(rows, **values)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        runs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body, kind = runs._answer(unquote(urlsplit(self.path).path).removeprefix("/kling/"))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", pages.CONTENT_SECURITY_POLICY)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    def _answer(self, path: str) -> tuple[int, bytes, str]:
        if path in pages.SHELLS:
            return 200, pages.files()[pages.SHELLS[path]][0], "text/html"
        if path.startswith("static/"):
            return 200, *pages.files()[path.removeprefix("static/")]
        if path == "api/clip":
            return 200, CLIP, "video/mp4"
        found = self.answers.get(path, (404, {"detail": "There is no such run."}))
        status, document = found if isinstance(found, tuple) else (200, found)
        return status, json.dumps(document).encode(), "application/json"

    def __enter__(self) -> MadeUpRuns:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
