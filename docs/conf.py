"""The site: `make docs` builds it into build/docs. Sphinx with MyST, because it reads the same Markdown as people do, and furo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
os.environ.setdefault("AIRFLOW_HOME", str(HERE.parent / "build" / "docs-airflow"))  # importing Airflow makes its home
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "false")

from airflow_provider_kling import __version__  # noqa: E402

project = "airflow-provider-kling"
author = "the authors of airflow-provider-kling"
project_copyright = f"{author}; Apache License 2.0"
version = release = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "docstrings",  # these three: docs/extensions
    "llms",
    "toctrees",
]
exclude_patterns = ["extensions", "pictures/*.py"]
root_doc = "index"

# --- Markdown
myst_heading_anchors = 4  # as GitHub makes them; a link to an anchor that is not there is a warning
myst_enable_extensions = ["colon_fence"]

# --- Docstrings
default_role = "code"  # docstrings have `single` backticks, as Markdown has
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
# Everything named in a signature that is ours must be in the reference; names of others are shown as text.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!airflow_provider_kling\.).*"),
    (r"py:class", r"airflow_provider_kling\.(api\.products\.Product|emulator\.handle\.Runner)"),  # for the package itself
]

# --- HTML
html_theme = "furo"
html_title = f"airflow-provider-kling {release}"
html_short_title = "airflow-provider-kling"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False  # llms.txt has the Markdown
html_theme_options = {
    "source_repository": "https://github.com/airflow-provider-kling/airflow-provider-kling/",
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": ["view", "edit"],
    "navigation_with_keys": True,
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False

# --- Links to other hosts, by `make docs-links`
linkcheck_anchors_ignore_for_url = [r"https://github\.com/.*"]
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost).*", r"https://(.*\.)?example\.(com|org)/.*"]
linkcheck_timeout = 20
linkcheck_retries = 2
