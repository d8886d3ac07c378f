"""The site: `sphinx-build -W --keep-going -b html docs build/docs`, which also runs the examples."""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]  # fastbp and benchmarks; what this folder adds to Sphinx

from docutils import nodes  # noqa: E402

import fastbp  # noqa: E402

project = "fastbp"
author = copyright = "The fastbp developers"
version = release = fastbp.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "options",
    "performance",
]
templates_path = ["_templates"]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.md5", "gallery/*.py", "gallery/*.zip", "sg_execution_times.rst"]
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf holds a class

# ---- the text: Markdown that reads on GitHub, too
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
mathjax_path = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"  # for readers; the build loads nothing
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- the API
autosummary_generate = True
autodoc_typehints = "none"  # types stand in the parameters' descriptions
autodoc_member_order = "bysource"  # of functions: forward, backward
numpydoc_show_class_members = False  # the template lists them
numpydoc_class_members_toctree = False
add_module_names = False

# ---- the examples: all files of examples/, each of them run, but for one where large packages are missing
can_export = all(find_spec(name) for name in ("onnxruntime", "skl2onnx", "torch"))
sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$" if can_export else r"(?<!/export)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
}


def strip_code(app, doctree):
    """A doctest in Markdown ends with an empty line, which nobody needs to see."""
    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block[:] = [nodes.Text(block.rawsource)]


def setup(app):
    app.connect("doctree-read", strip_code)


# ---- the looks
html_theme = "furo"
html_title = f"fastbp {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
