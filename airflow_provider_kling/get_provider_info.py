"""The provider's metadata for Airflow: the connection type with its form, and where its classes are.

Airflow itself uses `connection-types`, `config`, `task-decorators`, `asset-uris` and, where providers are not discovered lazily,
`plugins`. All other keys are for the `airflow providers` commands, the docs and Airflow's provider registry.
"""

from __future__ import annotations

from typing import Any

NAME = "Kling AI"  # of the integration, in Airflow's words
PAGES = "https://github.com/airflow-provider-kling/airflow-provider-kling/blob/main/docs/"
LOGO = "https://raw.githubusercontent.com/airflow-provider-kling/airflow-provider-kling/main/docs/pictures/logo.svg"
GUIDES = ("effect-operator", "decorator", "task-sensor", "batch-operator", "balance-sensor", "charges-operator", "hook")

# How the form shows the standard fields of a connection. Airflow 3.1 reads it by KlingHook.get_ui_field_behaviour.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    # Port stays: the Test button of Airflow 3.3.2 sends 0 for a port that is empty, and finds it changed.
    "hidden-fields": ["schema"],
    "relabeling": {"host": "Base URL", "login": "Access key", "password": "API key / secret key"},
    "placeholders": {
        "host": "https://api-singapore.klingai.com",
        "login": "empty for an API key",
        "password": "from the Kling console",
        "port": "443",
    },
}

CONN_FIELDS: dict[str, Any] = {
    "max_concurrency": {
        "label": "Slots to use",
        "description": "How many tasks may run at once with this account. Empty: as many as it has slots.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Seconds without a byte from the server after which a request counts as lost. Default: 60.",
        "schema": {"type": ["number", "null"], "minimum": 1},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "true, false, or the path of a CA bundle. Default: true.",
        "schema": {"type": ["string", "null"]},
    },
    "proxies": {
        "label": "Proxies",
        "description": "The URL of a proxy if one is needed, like http://proxy.example:3128, or none to use no proxy.",
        "schema": {"type": ["string", "null"]},
    },
    "webhook_secret": {
        "label": "Webhook secret",
        "description": "The secret with which Kling signs its callbacks: whsec_… While it rotates, both, with a blank between.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "accept_unsigned_callbacks": {
        "label": "Accept unsigned callbacks",
        "description": "Whether callbacks without a signature count. Anyone who knows the address can then send one. Default: no.",
        "schema": {"type": ["boolean", "null"]},
    },
    "allow_private_links": {
        "label": "Allow private links",
        "description": "Whether videos may be loaded from addresses inside your network, as from an emulator. Default: no.",
        "schema": {"type": ["boolean", "null"]},
    },
}


_CAPS = {
    f"max_{what}_per_{period}": {
        "description": f"The most {what} that may be made with a connection in a {period} (UTC), for connections whose extra does "
        "not say it. Default: any number.",
        "type": "string",
        "version_added": "0.1.0",
        "example": "500",
        "default": "",
    }
    for what in ("videos", "units")
    for period in ("day", "month")
}


def _modules(*names: str) -> list[dict[str, Any]]:
    """The entry of a kind of classes: the modules that have them."""
    return [{"integration-name": NAME, "python-modules": list(names)}]


def get_provider_info() -> dict[str, Any]:
    """The metadata in the form of Airflow's provider_info.schema.json."""
    from airflow_provider_kling import __version__

    package = "airflow_provider_kling"
    return {
        "package-name": "airflow-provider-kling",
        "name": NAME,
        "description": "Turns manifests of images into Kling AI effect videos, without paying twice.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": NAME,
                "external-doc-url": "https://klingai.com/global/dev",
                # Airflow's own providers name paths below its docs; this one has its docs elsewhere.
                "how-to-guide": [f"{PAGES}guides/{guide}.md" for guide in GUIDES],
                "logo": LOGO,
                "tags": ["ai", "generative-ai", "service"],
            }
        ],
        "hooks": _modules(f"{package}.hooks"),
        "operators": _modules(f"{package}.operators"),
        "sensors": _modules(f"{package}.sensors"),
        "triggers": _modules(f"{package}.triggers", f"{package}.batch_trigger"),
        "config": {
            "kling": {
                "description": "The Kling AI provider.",
                "options": {
                    "shared_folders": {
                        "description": "Folders, separated by commas, that all workers and triggerers see under the same path, "
                        "like a volume that is mounted everywhere. Manifests, results and images there may be used by "
                        "the triggerer, like those in an object store.",
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "/opt/airflow/manifests,/opt/airflow/results",
                        "default": "",
                    },
                    "price_book": {
                        "description": "Path or URI of the JSON file with the learned prices of scenes. Default: "
                        "prices.json beside the results of each run.",
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "s3://my-bucket/kling/prices.json",
                        "default": "",
                    },
                    "spending_folder": {
                        "description": "Folder in which the caps of connections per day and month are counted. Machines that "
                        "share it hold them exactly; others know of each other from the account's list, a minute later. Default: "
                        "kling/spending in AIRFLOW_HOME.",
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "/opt/airflow/shared/kling",
                        "default": "",
                    },
                    "callback_base_url": {
                        "description": 'The URL at which Kling reaches Airflow\'s API server, for callback_url="auto": only '
                        "its path /kling/callbacks/ needs to be open. Default: none.",
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "https://airflow.example.com",
                        "default": "",
                    },
                    **_CAPS,
                },
            }
        },
        "retry-policies": _modules(f"{package}.retry_policy"),  # a key since Airflow 3.4
        "asset-uris": [{"schemes": ["kling"], "handler": f"{package}.asset_uris.sanitize_uri"}],
        "task-decorators": [{"name": "kling_effect", "class-name": f"{package}.decorators.kling_effect"}],
        "plugins": [{"name": "kling", "plugin-class": f"{package}.plugin.KlingPlugin"}],
        "extra-links": [f"{package}.links.Kling{what}Link" for what in ("Video", "Report", "Results", "Charges")],
        "connection-types": [
            {
                "connection-type": "kling",
                "hook-class-name": f"{package}.hooks.KlingHook",
                "hook-name": NAME,
                "external-services": [NAME],  # a key since Airflow 3.4
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            }
        ],
    }
