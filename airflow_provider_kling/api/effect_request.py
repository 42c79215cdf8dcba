"""The request for one effect video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from airflow_provider_kling.api.images import decode_base64, is_url
from airflow_provider_kling.api.known_scenes import Scene, scene_of, scenes, similar_scenes
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
        return scene_of(self.effect_scene)

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
