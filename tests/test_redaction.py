"""Places, URLs, images and errors, made safe to show."""

from __future__ import annotations

import base64

import pytest
from places import PHOTOS

from airflow_provider_kling.redaction import holds_image, scheme_of, show_host, show_place, show_text, show_url

RAW = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (RAW, True),
        ("data:image/png;base64,AAAA", True),
        ("word " * 2000, False),
        ("A long text, as people write it. " * 300, False),
        ("0123456789abcdef" * 32, False),
        ("data: none", False),
    ],
)
def test_a_long_text_is_no_image(text: str, holds: bool) -> None:
    assert holds_image(text) is holds


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("images/a.jpg", "images/a.jpg"),
        ("https://u:p@host/a.jpg?x=1&X-Amz-Signature=s&X-Amz-Date=d#f", "https://host/a.jpg?x=1&…"),
        ("s3://conn@bucket/a.jpg", "s3://bucket/a.jpg"),
        (RAW, f"base64 image ({len(RAW):,} characters)"),
        ("data:image/png;base64,AAAA", "image in a data: URI (26 characters)"),
        ("a\nb", "a\ufffdb"),
        ("a" * 400 + ".jpg", "a" * 300 + "…"),
    ],
)
def test_a_place_is_shown_without_secrets_and_images(source: str, shown: str) -> None:
    assert show_place(source) == shown


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        ("https://u:p@host:8900/a?token=s#part", "https://host:8900/a", "host"),
        ("/a?token=s", "/a", "the video's host"),
    ],
)
def test_a_url_is_shown_without_query_and_credentials(url: str, shown: str, host: str) -> None:
    assert (show_url(url), show_host(url)) == (shown, host)


def test_what_is_no_url_is_not_shown() -> None:
    assert show_url("http://[secret") == "(not a URL)"
    assert show_place("http://user:secret@[host?token=secret") == "http://[host?…"


@pytest.mark.parametrize(("place", "scheme"), [("S3://bucket/a", "s3"), ("/a", None), ("a://", "a"), ("data:a", None)])
def test_a_path_has_no_scheme(place: str, scheme: str | None) -> None:
    assert scheme_of(place) == scheme


def test_a_text_is_shown_on_one_line_without_images_and_tokens() -> None:
    assert show_text(f"two\nlines {RAW[:5000]}") == "two lines [5,000 characters of base64]"
    assert show_text("Authorization: bearer eyJh.eyJp") == "Authorization: Bearer …"
    assert len(show_text("long text " * 1000)) == 2000
