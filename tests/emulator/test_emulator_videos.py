"""Links and videos: they play, they differ, they expire."""

from __future__ import annotations

import importlib.util
import io

import av
import pytest
import requests

from airflow_provider_kling.emulator.model import Link, Links
from airflow_provider_kling.emulator.videos import Store, drawn_key, rendering
from airflow_provider_kling.emulator.videos.pictures import DRAWINGS, opened
from airflow_provider_kling.emulator.videos.uploads import from_base64


def load(url: str) -> requests.Response:
    return requests.get(url, timeout=60)


def frames(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return list(container.decode(video=0))


def mean_color(frame: av.VideoFrame) -> tuple[int, ...]:
    return frame.to_image().resize((1, 1)).getpixel((0, 0))


def test_video_plays(client, kling, picture):
    task_id = client.made(picture(800, 600))
    kling.finish()
    answer = load(client.video(task_id)["url"])
    assert answer.headers["Content-Type"] == "video/mp4"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    shown = frames(answer.content)
    assert len(shown) == 48
    assert (shown[0].width, shown[0].height) == (480, 360)


def test_video_shows_the_input_image(client, kling, picture):
    ids = [client.made(picture(color=color), scene="squish") for color in ("red", "blue")]
    kling.finish()
    red, blue = (mean_color(frames(load(client.video(task_id)["url"]).content)[0]) for task_id in ids)
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]


def test_every_scene_has_another_video_and_the_same_scene_the_same(client, kling):
    ids = [client.made(scene=scene) for scene in ("squish", "emoji", "squish")]
    kling.finish()
    squish, emoji, again = (load(client.video(task_id)["url"]).content for task_id in ids)
    assert squish == again != emoji
    assert frames(squish)[20].to_image().tobytes() != frames(emoji)[20].to_image().tobytes()


def test_first_image_of_two_stands_left(client, kling, picture):
    task_id = client.made(picture(color="red"), picture(color="blue"), scene="hug_pro")
    kling.finish()
    image = frames(load(client.video(task_id)["url"]).content)[0].to_image()
    left, right = image.getpixel((image.width // 4, 200)), image.getpixel((image.width * 3 // 4, 200))
    assert left[0] > left[2]
    assert right[2] > right[0]


def test_watermark_has_a_video_of_its_own(client, kling):
    task_id = client.made()
    kling.finish()
    video = client.video(task_id)
    assert video["url"] != video["watermark_url"]
    assert load(video["url"]).content != load(video["watermark_url"]).content


@pytest.mark.parametrize("size", [(300, 750), (750, 300), (301, 333), (2000, 801)])
def test_any_shape_plays(picture, size):
    image = from_base64(picture(*size))
    shown = frames(rendering.make("let’s_ride", [(image.key, image.copy)], watermark=True))
    assert shown[0].width % 2 == shown[0].height % 2 == 0
    assert max(shown[0].width, shown[0].height) <= 640


def test_packaged_clip_plays():
    assert len(rendering.clip()) < 30_000
    assert len(frames(rendering.clip())) == 48


async def test_without_pyav_the_clip_is_sent(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "av" else find(name, *rest))
    maker = rendering.Videos(pictures=Store(limit=1))
    assert await maker.get(title="squish", pictures=["drawn:1"], watermark=False) == rendering.clip()
    maker.close()


async def test_video_is_made_once_for_all_requests(monkeypatch):
    import asyncio

    made = []
    monkeypatch.setattr(rendering, "make", lambda title, images, *, watermark: made.append(title) or b"video")
    maker = rendering.Videos(pictures=Store(limit=1))
    ask = {"title": "squish", "pictures": ["drawn:1"], "watermark": False}
    assert await asyncio.gather(*(maker.get(**ask) for _ in range(20))) == [b"video"] * 20
    assert await maker.get(**ask) == b"video"
    assert made == ["squish"]
    maker.close()


# --- Links ---------------------------------------------------------------------------------------------------------


@pytest.mark.kling_emulator(videos="clip")
def test_expired_link_is_refused_and_a_new_query_gives_one_that_works(client, kling):
    task_id = client.made()
    kling.finish()
    old = client.video(task_id)["url"]
    assert load(old).status_code == 200
    kling.expire_links()
    assert load(old).status_code == 403
    fresh = client.video(task_id)["url"]
    assert fresh != old
    assert load(fresh).status_code == 200


@pytest.mark.kling_emulator(videos="clip")
def test_links_of_one_task_can_expire_alone(client, kling):
    ids = [client.made(), client.made(external_id="mine")]
    kling.finish()
    urls = [client.video(task_id)["url"] for task_id in ids]
    kling.expire_links("mine")
    assert [load(url).status_code for url in urls] == [200, 403]


@pytest.mark.kling_emulator(videos="clip")
def test_video_is_gone_after_30_days(client, kling):
    task_id = client.made()
    kling.advance(10 + 30 * 86400 - 1)
    url = client.video(task_id)["url"]
    assert load(url).status_code == 200
    kling.advance(1)
    assert load(url).status_code == 404
    assert load(client.video(task_id)["url"]).status_code == 404


@pytest.mark.kling_emulator(videos="clip")
def test_link_cannot_be_guessed(client, kling):
    task_id = client.made()
    kling.finish()
    url = client.video(task_id)["url"]
    for wrong in (
        url.replace(task_id, str(int(task_id) + 37)),
        url[:-5] + "x.mp4",
        f"{kling.url}/videos/x.mp4",
        f"{kling.url}/videos/ä-0-o-ß.mp4",
    ):
        assert load(wrong).status_code == 404


@pytest.mark.kling_emulator(videos="clip")
def test_journal_shows_whether_a_video_was_loaded_with_credentials(client, kling):
    task_id = client.made()
    kling.finish()
    url = client.video(task_id)["url"]
    load(url)
    client.session.get(url)
    entries = kling.requests("video")
    assert [entry["authorization"] for entry in entries] == [False, True]
    assert {entry["kling_task_id"] for entry in entries} == {task_id}


def test_links_read_only_their_own():
    link = Link(kling_task_id="123", epoch=4, watermark=True)
    path = Links(b"key").path(link)
    assert Links(b"key").read(path.rpartition("/")[2]) == link
    assert Links(b"other").read(path.rpartition("/")[2]) is None


# --- Pictures ------------------------------------------------------------------------------------------------------


def test_store_drops_what_was_not_used_for_longest():
    store = Store(limit=10)
    store.put("a", b"12345")
    store.put("b", b"12345")
    store.get("a")
    store.put("c", b"1234")
    assert [store.get(key) for key in "abc"] == [b"12345", None, b"1234"]
    store.put("d", bytes(100))
    assert [len(store.get(key) or b"") for key in "acd"] == [0, 0, 100]


def test_dropped_picture_is_replaced_by_a_drawing():
    assert opened("ab" * 32, None).size == opened(drawn_key("http://example.com"), None).size


def test_drawings_differ():
    assert len({opened(f"drawn:{number}", None).tobytes() for number in range(DRAWINGS)}) == DRAWINGS
