"""An object store for all processes of a stack: `shared:///folder/file` is a file on this machine.

It is a provider because Airflow loads file systems from providers only. To the package it looks like S3: the URI's scheme
says that every machine can reach it.
"""

from __future__ import annotations

from typing import Any

from fsspec.implementations.local import LocalFileSystem

schemes = ["shared"]


class SharedFileSystem(LocalFileSystem):
    protocol = "shared"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "auto_mkdir": True})  # an object store has no folders to create

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return LocalFileSystem._strip_protocol(str(path).removeprefix("shared://"))


def get_fs(conn_id: str | None, storage_options: dict[str, Any]) -> SharedFileSystem:
    return SharedFileSystem(**storage_options)


def provider() -> dict[str, Any]:
    return {"package-name": "shared", "name": "Shared", "description": "Files", "filesystems": ["shared.files"]}
