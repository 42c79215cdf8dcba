"""Input images: which are refused at once, and which make a task fail at its end."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

INVALID = (400, 1201)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_picture_in_base64_becomes_a_video(client, kling, picture, kind):
    task_id = client.made(picture(kind=kind))
    kling.finish()
    assert client.task(task_id)["task_status"] == "succeed"


def test_data_prefix_is_refused(client, kling, picture, error):
    status, code, message = error(client.create("data:image/png;base64," + picture()))
    assert (status, code) == INVALID
    assert "prefix" in message
    assert kling.ledger == []


@pytest.mark.parametrize(
    "image", ["/home/me/cat.png", "ftp://example.com/cat.png", "not base64!", base64.b64encode(b"some text").decode()]
)
def test_anything_but_a_picture_is_refused(client, error, image):
    assert error(client.create(image))[:2] == INVALID


def test_other_formats_are_refused(client, picture, error):
    assert "JPEG or PNG" in error(client.create(picture(kind="GIF")))[2]


def test_half_a_picture_is_refused(client, picture, error):
    data = base64.b64decode(picture(kind="JPEG", width=800, height=800))
    assert error(client.create(base64.b64encode(data[: len(data) // 2]).decode()))[:2] == INVALID


def test_picture_over_10_mb_is_refused(client, picture, error):
    data = base64.b64decode(picture()) + os.urandom(10 * 2**20)
    assert "10MB" in error(client.create(base64.b64encode(data).decode()))[2]


def test_two_large_pictures_are_accepted(client, picture):
    data = base64.b64decode(picture())
    large = base64.b64encode(data + bytes(10 * 2**20 - len(data))).decode()
    client.made(large, large, scene="hug_pro")


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (299, 400, "Image pixel is invalid"),
        (400, 299, "Image pixel is invalid"),
        (300, 751, "The resolution or aspect ratio of the input image is invalid."),
        (751, 300, "The resolution or aspect ratio of the input image is invalid."),
        (300, 750, ""),
        (300, 300, ""),
    ],
)
def test_wrong_shape_fails_the_task_at_its_end(client, kling, picture, width, height, message):
    task_id = client.made(picture(width, height))
    kling.advance(9)
    assert client.task(task_id)["task_status"] == "processing"
    kling.advance(1)
    task = client.task(task_id)
    assert task["task_status"] == ("failed" if message else "succeed")
    assert task["task_status_msg"].startswith(message)
    assert bool(task["task_result"]["videos"]) == (not message)


@pytest.mark.kling_emulator(risky_scene=("emoji",))
def test_risk_control_fails_a_scene_or_an_image_by_its_name(client, kling):
    ids = [
        client.made(scene="emoji"),
        client.made("https://example.com/risk/cat-risky.png"),
        client.made("https://example.com/risk/cat.png"),
    ]
    kling.finish()
    assert [client.task(task_id)["task_status_msg"] for task_id in ids] == ["Failure to pass the risk control system"] * 2 + [""]


def test_number_of_images_must_match_the_scene(client, kling, error):
    cat, dog = "https://example.com/cat.png", "https://example.com/dog.png"
    assert error(client.create(cat, scene="hug_pro")) == (400, 1201, "images size must be 2")
    assert error(client.create(cat, dog, scene="pet_lion_pro"))[:2] == INVALID
    assert error(client.create(cat, dog, cat, scene="hug_pro"))[:2] == INVALID
    assert kling.ledger == []
    client.made(cat, dog, scene="hug_pro")


@pytest.mark.parametrize("scene", ["pet_unicorn", "pet_lion"])  # unknown, ended
def test_scene_that_the_account_does_not_have_is_refused_by_default(client, kling, error, scene):
    assert error(client.create(scene=scene)) == (400, 1201, f"effect_scene value '{scene}' is invalid")
    assert kling.ledger == []
    client.made(scene="let’s_ride")
    kling.configure(strict_scenes=False)
    client.made(scene=scene)


def test_ledger_tells_requests_apart_by_scene_and_images(client, kling, picture):
    client.made(picture(color="red"))
    client.made(picture(color="blue"))
    client.made(picture(color="red"))
    client.made(picture(color="red"), scene="squish")
    marks = [line["fingerprint"] for line in kling.ledger]
    assert marks[0] == marks[2]
    assert len(set(marks)) == 3


@pytest.fixture
def host(picture):
    """A web server with pictures of 400 x 400 and 200 x 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sizes = {"/good.png": 400, "/small.png": 200, "/large.png": 400}
            self.send_response(200 if self.path in sizes else 404)
            self.end_headers()
            self.wfile.write(base64.b64decode(picture(sizes.get(self.path, 10), 400)))
            if self.path == "/large.png":
                with contextlib.suppress(OSError):  # the client does not read all of it
                    self.wfile.write(bytes(40 * 2**20))

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.kling_emulator(fetch_images=True)
def test_urls_are_loaded_and_checked_on_request(client, kling, host, error):
    good, small = client.made(f"{host}/good.png"), client.made(f"{host}/small.png")
    assert error(client.create(f"{host}/none.png")) == (400, 1201, "Image url can not be loaded")
    assert error(client.create("http://127.0.0.1:1/x.png"))[:2] == INVALID
    assert "10MB" in error(client.create(f"{host}/large.png"))[2]
    kling.finish()
    assert client.task(good)["task_status"] == "succeed"
    assert client.task(small)["task_status_msg"] == "Image pixel is invalid"


def test_urls_are_not_loaded_by_default(client, kling):
    task_id = client.made("http://127.0.0.1:1/x.png")
    kling.finish()
    assert client.task(task_id)["task_status"] == "succeed"
