"""The documentation site: `make docs` builds it into build/docs, and any warning fails the build."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import eyehand

generate.write_module_pages()

project = "eyehand"
author = "eyehand contributors"
copyright = author  # noqa: A001 - its name in Sphinx
version = release = eyehand.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"eyehand {version}"
myst_heading_anchors = 4
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
autodoc_mock_imports = ["mss", "pynput", "pywinctl"]  # the portable backend; on Linux it has to be compiled
suppress_warnings = ["ref.python"]  # an attribute in a docstring may have the name of another class's


def setup(app):
    """Docstrings are plain text with `code` and Google's sections: have Sphinx find no other markup in them."""
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon


def plain_text(app, what, name, obj, options, lines):
    blocks = []
    for block in "\n".join(lines).split("\n\n"):
        if what == "module" and block.startswith("  "):
            blocks.append(f"::\n\n{block}")
        else:
            blocks.append(re.sub(r"(`[^`]+`)(\w?)|[|*]|_(?!\w)", as_literal, block))
    lines[:] = "\n\n".join(blocks).split("\n")


def as_literal(found):
    if found[1] is None:
        return f"\\{found[0]}"
    return f"`{found[1]}`" + (f"\\ {found[2]}" if found[2] else "")
