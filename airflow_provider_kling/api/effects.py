"""The product "video effects": the request for one video, and how a server reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from airflow_provider_kling.api.codes import Refusal
from airflow_provider_kling.api.images import decode_base64, is_url
from airflow_provider_kling.api.known_scenes import Scene, scenes, similar_scenes
from airflow_provider_kling.api.products import Product, ReceivedRequest
from airflow_provider_kling.api.signatures import strip_signature
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.values import value


@value
class EffectRequest:
    """The request for one video: a scene and its images, the left one first.

    `images` holds one or two values in the form that the API accepts: a URL, or raw base64 without a `data:` prefix.
    `airflow_provider_kling.manifests.load_image` returns that form for any source of an image.
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
        expected = self.scene.images if self.scene else None
        count = len(self.images)
        if expected is not None and count != expected:
            takes = "two images, the first stands left" if expected == 2 else "one image"
            raise KlingInputError(f"Scene {self.effect_scene!r} takes {takes}; found {_describe_count(count)}.")
        if count not in (1, 2):
            raise KlingInputError(f"Scene {self.effect_scene!r} has {_describe_count(count)}; every scene takes one or two.")
        # Decoded once for both: an image of 10 MB takes some 30 ms.
        hashes = [None if is_url(image) else hashlib.sha256(decode_base64(image)).hexdigest() for image in self.images]
        object.__setattr__(self, "_hashes", hashes)

    @property
    def scene(self) -> Scene | None:
        """The scene; None if this version does not know it."""
        return scenes().get(self.effect_scene)

    @property
    def input(self) -> dict[str, Any]:
        """The `input` object of the API: it holds `image` for one image, `images` for two."""
        return {"image": self.images[0]} if len(self.images) == 1 else {"images": list(self.images)}

    @property
    def body(self) -> dict[str, Any]:
        """The keys of a create's body that are specific to effects."""
        return {"effect_scene": self.effect_scene, "input": self.input}

    @property
    def portable(self) -> bool:
        """Whether it holds only URLs, so that it may be stored and sent from another machine."""
        return all(is_url(image) for image in self.images)

    @property
    def fingerprint(self) -> str:
        """64 hex digits that identify the request: its scene and its images.

        A presigned URL counts without its signature, which changes each time. Base64 counts as its bytes.
        """
        hashes: list[str | None] = self.__dict__["_hashes"]
        identities = (known or strip_signature(image) for known, image in zip(hashes, self.images, strict=True))
        parts = [self.effect_scene, *identities]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()

    def check_scene(self, *, strict: bool = False) -> list[str]:
        """Warnings about the scene, one sentence each: it is unknown, or Kling announced its end.

        With `strict`, raises KlingInputError instead.
        """
        problem = ""
        if self.scene is None:
            similar = similar_scenes(self.effect_scene)
            hint = f"the nearest known: {', '.join(similar)}" if similar else "no known scene has a name like it"
            problem = f"Scene {self.effect_scene!r} is not among the {len(scenes())} known to this version; {hint}."
        elif self.scene.discontinued:
            problem = f"Scene {self.effect_scene!r} is discontinued: Kling announced its end for {self.scene.discontinued}."
        if problem and strict:
            error = KlingInputError(problem)
            error.kind = "scene"
            raise error
        return [problem] if problem else []

    def __repr__(self) -> str:
        shown = [show_place(image) if is_url(image) else f"<base64, {len(image):,} characters>" for image in self.images]
        return f"EffectRequest({self.effect_scene!r}, {shown!r})"


def _describe_count(images: int) -> str:
    return {0: "none", 1: "one image", 2: "two images"}.get(images, f"{images} images")


def read_body(document: Mapping[str, Any]) -> ReceivedRequest:
    """The server's half: read the body of a create. Raises Refusal 1201 with the name of the wrong parameter."""
    scene = document.get("effect_scene")
    if not isinstance(scene, str) or not scene:
        raise Refusal(1201, "effect_scene must not be empty")
    source = document.get("input")
    if not isinstance(source, dict):
        raise Refusal(1201, "input must not be empty")
    image, images = source.get("image"), source.get("images")
    if images is None:
        images = [image] if image is not None else []
    if not isinstance(images, list) or not all(isinstance(one, str) and one for one in images) or not images:
        raise Refusal(1201, "image must not be empty")
    if source.get("images") is not None and len(images) != 2:
        raise Refusal(1201, "images size must be 2")
    return ReceivedRequest(title=scene, images=tuple(images))


def check_scene(request: ReceivedRequest, strict: bool) -> None:
    """The server's half: raise Refusal 1201 for a wrong number of images.

    With `strict`, also for a scene that is unknown or has ended: all announced ends are past.
    """
    scene = scenes().get(request.title)
    if strict and (scene is None or scene.discontinued):
        raise Refusal(1201, f"effect_scene value '{request.title}' is invalid")
    if scene is None:
        return
    if len(request.images) != scene.images:
        raise Refusal(1201, "images size must be 2" if scene.images == 2 else "image must not be empty")


EFFECTS = Product(
    name="video effects",
    path="/v1/videos/effects",
    request_of=EffectRequest,
    read_body=read_body,
    check=check_scene,
)
