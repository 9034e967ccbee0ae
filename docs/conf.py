"""How Sphinx builds the site. `python -m tools.build_site` puts the sources together and calls it."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

PROJECT = Path(os.environ.get("SAM_EDU_PROJECT", Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(PROJECT))

project = "sam_edu"
author = "The sam_edu contributors"
project_copyright = "the sam_edu contributors, Apache-2.0"
release = version = installed_version("sam-edu")
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "tools.site_extension",
]

# Notebooks are read with the outputs that they have.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_dmath_allow_labels = False
myst_dmath_allow_space = False
myst_dmath_allow_digits = False
myst_heading_anchors = 4
html_math_renderer = "mathml"

# Docstrings are Google's style; a single backtick in them means code.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "The mask decoder of Segment Anything"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
pygments_dark_style = "github-dark"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}

# The address that previews need in full; without one they lead to the page's own folder.
html_baseurl = os.environ.get("SAM_EDU_SITE", "")
copybutton_exclude = ".linenos, .gp, .go"
