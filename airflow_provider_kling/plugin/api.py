"""The data of the pages as JSON, and the files that results name. Each route needs the right to read the DAG's XComs."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/api")
