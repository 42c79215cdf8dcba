"""Effect scenes as data, and the request for one video."""

from __future__ import annotations

import base64
import binascii
import difflib
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airflow_provider_kling.errors import KlingInputError

# The vendor's page on video effects: "file size: ≤10MB, dimensions: ≥300px, aspect ratio: 1:2.5 ~ 2.5:1".
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MIN_IMAGE_SIDE = 300  # pixels
MAX_IMAGE_RATIO = 2.5  # of the long side to the short one


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An effect scene that Kling has named in one of its lists.

    `images` is how many it takes, 1 or 2. `discontinued` is the day the vendor announced as its end (ISO date).
    """

    name: str
    images: int
    listed: tuple[str, ...] = ()
    discontinued: str | None = None


@functools.cache
def scenes() -> Mapping[str, Scene]:
    """All scenes known to this version, by name. Kling adds and removes scenes without notice."""
    text = importlib.resources.files(__package__).joinpath("effects.json").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            name: Scene(
                name=name,
                images=facts["images"],
                listed=tuple(facts["listed"]),
                discontinued=facts.get("discontinued"),
            )
            for name, facts in json.loads(text)["scenes"].items()
        }
    )


def nearest_scenes(name: str) -> list[str]:
    """At most three known scenes whose names look like this one, the nearest first."""
    return difflib.get_close_matches(name, scenes(), n=3, cutoff=0.6)


@dataclass(frozen=True)
class EffectRequest:
    """What one video is asked for: a scene and its images, the left one first.

    `images` holds one or two values as they go to the API: a URL, or raw base64 without a `data:` prefix
    (`images.load_image` makes either from anything else).
    Raises KlingInputError for a request that cannot work.
    """

    effect_scene: str
    images: Sequence[str] = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.effect_scene, str) or not self.effect_scene.strip():
            raise KlingInputError(f"effect_scene is {self.effect_scene!r}; wanted is the name of a scene, like 'pet_lion_pro'.")
        object.__setattr__(self, "effect_scene", self.effect_scene.strip())
        if isinstance(self.images, str) or not all(isinstance(image, str) for image in self.images):
            raise KlingInputError(f"The images of scene {self.effect_scene!r} are to be a list of URLs or base64 texts.")
        object.__setattr__(self, "images", tuple(self.images))
        wanted = self.scene.images if self.scene else None
        found = len(self.images)
        if wanted is not None and found != wanted:
            how = "two images, the first stands left" if wanted == 2 else "one image"
            raise KlingInputError(f"Scene {self.effect_scene!r} takes {how}; found {_count(found)}.")
        if found not in (1, 2):
            raise KlingInputError(f"Scene {self.effect_scene!r} has {_count(found)}; every scene takes one or two.")
        for image in self.images:
            if not is_url(image):
                decode_base64(image)

    @property
    def scene(self) -> Scene | None:
        """The scene, where this version knows it."""
        return scenes().get(self.effect_scene)

    @property
    def input(self) -> dict[str, Any]:
        """The `input` object of the API: `image` for one, `images` for two."""
        return {"image": self.images[0]} if len(self.images) == 1 else {"images": list(self.images)}

    @property
    def portable(self) -> bool:
        """Whether it holds URLs only, so that it may be written down and sent from another machine."""
        return all(is_url(image) for image in self.images)

    @property
    def fingerprint(self) -> str:
        """64 hex digits that tell this request from others: the scene and what the images are.

        A presigned URL counts without its signature, which changes every time; base64 counts as its bytes.
        """
        parts = [self.effect_scene, *(_image_identity(image) for image in self.images)]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()

    def check_scene(self, *, strict: bool = False) -> list[str]:
        """What a person should know about the scene, as sentences: it is unknown, or announced to end.

        Raises KlingInputError instead when `strict`.
        """
        problem = ""
        if self.scene is None:
            near = nearest_scenes(self.effect_scene)
            hint = f"the nearest known: {', '.join(near)}" if near else "no known scene has a name like it"
            problem = f"Scene {self.effect_scene!r} is not among the {len(scenes())} known to this version; {hint}."
        elif self.scene.discontinued:
            problem = f"Scene {self.effect_scene!r} is discontinued: Kling announced its end for {self.scene.discontinued}."
        if problem and strict:
            raise KlingInputError(problem)
        return [problem] if problem else []

    def __repr__(self) -> str:
        shown = [strip_signature(image) if is_url(image) else f"<base64, {len(image):,} characters>" for image in self.images]
        return f"EffectRequest({self.effect_scene!r}, {shown!r})"


def is_url(image: str) -> bool:
    """Whether the API loads this image itself."""
    return image.lower().startswith(("http://", "https://"))


def decode_base64(text: str) -> bytes:
    """The bytes of raw base64; KlingInputError for anything else."""
    if text.startswith("data:"):
        raise KlingInputError("A base64 image goes to Kling without its 'data:…;base64,' prefix; images.load_image takes it off.")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        shown = text if len(text) <= 60 else f"{text[:20]}… ({len(text):,} characters)"
        raise KlingInputError(f"Image {shown!r} is neither an http(s) URL nor raw base64.")
    return data


# Query parameters that sign a URL, per signing scheme: a scheme applies when its first name is there.
# Sources: AWS SigV4 and SigV2, Google Cloud Storage V4 and V2, Azure SAS, CloudFront, Aliyun OSS, Tencent COS.
_SIGNATURES: tuple[tuple[str, frozenset[str]], ...] = (
    ("awsaccesskeyid", frozenset({"signature", "expires", "x-amz-security-token"})),
    ("googleaccessid", frozenset({"signature", "expires"})),
    ("ossaccesskeyid", frozenset({"signature", "expires", "security-token"})),
    ("key-pair-id", frozenset({"signature", "expires", "policy"})),
    ("sig", frozenset({"sv", "ss", "srt", "sr", "sp", "se", "st", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv"})),
)
_SIGNATURE_PREFIXES = (
    "x-amz-",
    "x-goog-",
    "x-oss-",
    "q-sign-",
    "q-ak",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)


def strip_signature(url: str) -> str:
    """The URL without the parameters that sign it, and without a fragment or credentials."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in pairs}
    signing = {name for marker, others in _SIGNATURES if marker in names for name in (marker, *others)}
    kept = [
        (name, value) for name, value in pairs if name.lower() not in signing and not name.lower().startswith(_SIGNATURE_PREFIXES)
    ]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, urlencode(kept), ""))


def _image_identity(image: str) -> str:
    return strip_signature(image) if is_url(image) else hashlib.sha256(decode_base64(image)).hexdigest()


def _count(images: int) -> str:
    return {0: "none", 1: "one image", 2: "two images"}.get(images, f"{images} images")
