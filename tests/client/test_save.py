"""Downloads of videos: complete files only, renewed links, passing faults, and no token."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.manifests import load_image


@pytest.fixture
def done(hook, kling, photo):
    """A task that has succeeded."""
    kling.configure(videos="clip")
    task = hook.create_task(EffectRequest("pet_lion_pro", [load_image(photo)]))
    return hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.05)


def test_a_saved_video_is_not_downloaded_again(hook, kling, done, tmp_path):
    assert hook.save_videos(done, str(tmp_path)) == hook.save_videos(done, str(tmp_path))
    assert len(kling.requests("video")) == 1


def test_a_dead_link_is_renewed(hook, kling, done, tmp_path):
    kling.expire_links()
    (path,) = hook.save_videos(done, str(tmp_path))
    assert Path(path).read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("fault", ["cut", "drop", "html", "empty", 5000])
def test_a_partial_video_is_never_kept(hook, kling, done, tmp_path, fault):
    kling.fault(fault, on="video", times=None)
    with pytest.raises(errors.KlingDownloadError):
        hook.save_videos(done, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    kling.clear_faults()
    (path,) = hook.save_videos(done, str(tmp_path))
    assert list(tmp_path.iterdir()) == [Path(path)]


@pytest.mark.parametrize("fault", ["cut", "drop", "html"])
def test_a_download_is_repeated_after_a_passing_fault(hook, kling, done, tmp_path, fault):
    kling.fault(fault, on="video", times=1)
    assert len(hook.save_videos(done, str(tmp_path))) == 1


def test_an_error_names_the_file_that_cannot_be_written(hook, kling, done, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.KlingStorageError, match=r"file/.* could not be written"):
        hook.save_videos(done, str(tmp_path / "file"))


def test_the_video_host_never_receives_a_token(hook, kling, done, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    hook.save_videos(done, str(tmp_path / "videos"))
    hook.list_tasks()
    authorized = {row["kind"]: row["authorization"] for row in kling.journal}
    assert authorized["video"] is False
    assert authorized["list"] is True
