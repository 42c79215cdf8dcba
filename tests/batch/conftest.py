from __future__ import annotations

import uuid

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from task_runs import FakeAirflow

from airflow_provider_kling.dispatch import schedule
from airflow_provider_kling.manifests import sources


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture
def kling(kling, monkeypatch):
    """An account for many videos: the emulator does not render each one anew, and their tasks are polled early."""
    monkeypatch.setattr(schedule, "FIRST_POLL", 0.2)
    kling.configure(videos="clip")
    return kling


@pytest.fixture
def store(monkeypatch):
    """An object store that another machine has as well."""
    attach("memory", fs=MemoryFileSystem())
    monkeypatch.setattr(sources, "_LOCAL_SCHEMES", frozenset({"file", "local"}))
    yield f"memory://{uuid.uuid4().hex}"
    MemoryFileSystem.store.clear()
