"""Sphinx configuration. Build: `sphinx-build -W docs docs/_build/html`, with siglib installed."""

import siglib

project = "siglib"
author = "The siglib developers"
copyright = "2026, the siglib developers"
release = version = siglib.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "figures"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# Names in single backticks, as docstrings have them: linked where there is a page to link to.
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# The docstrings give types and shapes in words; the annotations say no more than "an array".
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False

plot_basedir = "figures"
plot_formats = [("svg", 100)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    # Text as text: smaller files, and it can be searched.
    "svg.fonttype": "none",
}
plot_apply_rcparams = True

html_theme = "furo"
html_title = f"siglib {version}"
html_show_sourcelink = False
