"""External ids are the same in all versions of one major version: docs/inside/versions.md.

An id that changes lets a retry after an upgrade miss the video that was paid for before it. So these texts stay as they are.
"""

from __future__ import annotations

import pytest

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.client import external_id_of

TASK = {"dag_id": "campaign", "run_id": "scheduled__2026-11-26T06:00:00+00:00", "task_id": "videos.make"}
IMAGE = "https://example.com/a%20b.jpg?w=1#top"
BASE64 = "iVBORw0KGgo="
OBJECT = "https://bucket.s3.amazonaws.com/a.jpg"
SIGNED = (
    f"{OBJECT}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20261126%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261126T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=abc"
)


@pytest.mark.parametrize(
    ("scene", "images", "place", "fresh", "external_id"),
    [
        ("squish", [IMAGE], -1, None, "airflow-bbe3d27a695ecde832e3bb189941af08e7955c18"),
        ("squish", [IMAGE], "sku-1", None, "airflow-bbe3d27a69a3e5a9a346b237523d19b797c70511"),
        ("squish", [IMAGE], "sku-1", "2", "airflow-bbe3d27a69a3e5a9a34622a4962f945341d4c992"),
        ("hug_pro", [IMAGE, BASE64], "ä/1", None, "airflow-bbe3d27a692984c515c5812db7d0fbe47de622f9"),
        ("squish", [SIGNED], 3, None, "airflow-bbe3d27a695165029ab9a92bc58bd69abf384a8e"),
        ("squish", [OBJECT], 3, None, "airflow-bbe3d27a695165029ab9a92bc58bd69abf384a8e"),
    ],
    ids=["no map index", "row id", "fresh", "two images", "signed", "not signed"],
)
def test_ids_of_released_versions_stay(scene, images, place, fresh, external_id):
    assert external_id_of(EffectRequest(scene, images), **TASK, place=place, fresh=fresh) == external_id
