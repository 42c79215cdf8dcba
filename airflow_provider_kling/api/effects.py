"""The product "video effects": its request, how a server reads it, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_kling.api.codes import Refusal
from airflow_provider_kling.api.effect_request import EffectRequest
from airflow_provider_kling.api.known_scenes import scene_of
from airflow_provider_kling.api.products import Product, ReceivedRequest


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
    scene = scene_of(request.title)
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
