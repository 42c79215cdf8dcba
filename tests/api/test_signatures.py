"""The identity of a URL: two images are two requests, and one image signed anew is one."""

from __future__ import annotations

import pytest

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.api.signatures import strip_signature

V4 = "{0}-Algorithm=A&{0}-Credential=k%2F2&{0}-Date=d&{0}-Expires=60&{0}-SignedHeaders=host&{0}-Signature={1}"
COS = "q-sign-algorithm=sha1&q-ak=k&q-sign-time={0}&q-key-time={0}&q-header-list=host&q-url-param-list=&q-signature={0}"
OSS = "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=k&x-oss-date={0}&x-oss-expires=60&x-oss-signature={0}"
SIGNATURES = {
    "AWS 4": V4.format("X-Amz", "{0}") + "&X-Amz-Security-Token={0}",
    "AWS 4 of an SDK": V4.format("X-Amz", "{0}") + "&x-amz-checksum-mode=ENABLED&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
    "AWS 2": "AWSAccessKeyId=k&Signature={0}&Expires={0}&x-amz-security-token={0}",
    "Google 4": V4.format("X-Goog", "{0}"),
    "Google 2": "GoogleAccessId=k&Expires={0}&Signature={0}",
    "Google Cloud CDN": "URLPrefix=aHR0&Expires={0}&KeyName=k&Signature={0}",
    "CloudFront, canned": "Expires={0}&Signature={0}&Key-Pair-Id=k",
    "CloudFront, policy": "Policy={0}&Signature={0}&Key-Pair-Id=k",
    "Azure, service": "sv=2025-05-05&st={0}&se={0}&sr=b&sp=r&sig={0}",
    "Azure, stored policy": "sv=2025-05-05&sr=b&si=readers&sig={0}",
    "Azure, account": "sv=2025-05-05&ss=b&srt=o&sp=r&se={0}&spr=https&sig={0}",
    "Azure, delegation": "sv=2025-05-05&sr=b&sp=r&se={0}&skoid=o&sktid=t&skt={0}&ske={0}&sks=b&skv=2025-05-05&scid={0}&sig={0}",
    "Aliyun OSS 1": "OSSAccessKeyId=k&Expires={0}&Signature={0}&security-token={0}",
    "Aliyun OSS 4": f"{OSS}&x-oss-additional-headers=host&x-oss-security-token={{0}}",
    "Tencent COS": f"{COS}&x-cos-security-token={{0}}",
    "Huawei OBS": "AccessKeyId=k&Expires={0}&Signature={0}&x-obs-security-token={0}",
    "Volcengine TOS": V4.format("X-Tos", "{0}") + "&X-Tos-Security-Token={0}",
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_is_left_out_wherever_it_stands(signature: str) -> None:
    for number in (1, 2):
        signed = signature.format(number)
        assert strip_signature(f"https://host/a.jpg?{signed}") == "https://host/a.jpg"
        assert strip_signature(f"https://host/a.jpg?v=%20+1&{signed}&x=#part") == "https://host/a.jpg?v=%20+1&x="


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_that_lacks_a_parameter_is_none(signature: str) -> None:
    optional = {"urlprefix", "st", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv", "scid", "x-oss-additional-headers"}
    optional |= {"x-amz-checksum-mode", "x-amz-content-sha256"}
    parts = signature.format(1).split("&")
    for lacking in parts:
        name = lacking.partition("=")[0].lower()
        if name not in optional and not name.endswith("token"):
            url = "https://host/a?" + "&".join(part for part in parts if part != lacking)
            assert strip_signature(url) == url


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("?f=%D5%C5.jpg", "?f=%C0%EE.jpg"),
        ("?name=%E9.jpg", "?name=%E8.jpg"),
        ("?sig=1&sr=front", "?sig=1&sr=back"),
        ("?sig=1&sv=1&sr=front", "?sig=1&sv=1&sr=back"),
        ("?signature=1&expires=2&policy=front", "?signature=1&expires=2&policy=back"),
        ("?x-oss-process=style/front", "?x-oss-process=style/back"),
        ("?x-amz-meta-side=front", "?x-amz-meta-side=back"),
        ("?keyname=a&signature=1&signature=2&expires=1", "?keyname=b&signature=1&signature=2&expires=1"),
        ("?a=1;b=2", "?a=1;b=3"),
        ("?a+b", "?a%2Bb"),
        ("?front", "?back"),
        ("/%E9.jpg", "/%E8.jpg"),
    ],
)
def test_two_images_are_two_requests(one: str, other: str) -> None:
    first, second = (EffectRequest("squish", [f"https://host/i{url}"]).fingerprint for url in (one, other))
    assert first != second


def test_credentials_and_fragment_are_no_part_of_it() -> None:
    assert strip_signature("https://u:p@host/a.jpg?v=1#part") == "https://host/a.jpg?v=1"
    assert strip_signature("https://host/u@host.jpg?a=@b") == "https://host/u@host.jpg?a=@b"


@pytest.mark.parametrize(
    ("url", "fingerprint"),
    [
        ("https://example.com/a.jpg", "21847d32415af74095e438871f9772d5f0a187927ce7776598f48a2e0ccdd23f"),
        (
            "HTTPS://example.com/a%20b/%C3%A9.jpg?v=1&w=800&name=a+b",
            "8c7375f587f29d7c6effb254771fb44e5dae413700885a6ca8792df23a8938a5",
        ),
        (
            f"https://example.com/a%20b/%C3%A9.jpg?v=1&w=800&{V4.format('X-Amz', 's')}&name=a+b",
            "8c7375f587f29d7c6effb254771fb44e5dae413700885a6ca8792df23a8938a5",
        ),
    ],
)
def test_the_identity_of_a_url_stays_the_same_for_ever(url: str, fingerprint: str) -> None:
    """Another one would be another external id: whatever is tried again after an upgrade would be paid for again."""
    assert EffectRequest("squish", [url]).fingerprint == fingerprint
