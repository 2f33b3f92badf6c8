"""Sphinx's settings. `python -m docs.builder` copies the pages beside this file, and builds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

# the staged copy of this file is in FOLDER/source; what it imports is the repository's
from docs.builder.inventories import addresses
from docs.builder.pages import ROOT
from docs.builder.signatures import signature_of

sys.path[:0] = [str(ROOT), str(ROOT / "hpc"), str(ROOT / "algorithms")]

project = "qcsc-loop"
author = "The qcsc-loop developers"
copyright = author  # Sphinx's name for it
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
exclude_patterns = ["files"]

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

default_role = "literal"  # docstrings write code as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
autodoc_default_options = {"exclude-members": "model_config, model_post_init, model_fields"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

INVENTORIES = Path(__file__).parents[1] / "inventories"
intersphinx_mapping = {
    name: (address, str(INVENTORIES / f"{name}.inv")) for name, address in addresses().items()
}
intersphinx_timeout = 0.01  # never asked: all of it is stored

html_theme = "furo"
html_title = "qcsc-loop"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

suppress_warnings = ["ref.python"]  # several classes have an `iteration`; a docstring means its own
# whatever is below a face is no one's to name, and in "Returns:" a word before a colon is no type
nitpick_ignore_regex = [
    ("py:.*", r"qcsc_\w+(\.\w+){2,}(\[.*)?"),
    ("py:class", r"[a-z_ ]+"),
    ("py:exc", "NameTaken"),
    ("py:.*", r"(prefect|mpi4py|MPI|pydantic|pydantic_core|annotated_types)\..*"),  # not stored
    ("py:.*", r"typing\..*|types\..*|numpy\..*"),  # what they are made of
    ("py:.*", r"[A-Z][a-z]{0,2}|.*_co|.*\.[A-Z]"),  # type variables
    ("py:class", r"[A-Z]\w*|[\w.]+\[.*|npt\..*"),  # aliases, and names for type checkers alone
]


def setup(app: Any) -> None:  # sphinx.application.Sphinx
    """Connects what Sphinx asks on its way."""
    app.connect("autodoc-process-docstring", _Sentences().keep, priority=400)
    app.connect("autodoc-process-docstring", _Sentences.give_back, priority=600)
    app.connect("autodoc-process-signature", _of_a_record)
    app.connect("missing-reference", _by_its_last_word)
    app.connect("html-page-context", _Trees().share, priority=400)  # before the theme's


def _of_a_record(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    if isinstance(obj, type) and issubclass(obj, BaseModel):
        return signature_of(obj), returns
    return None


class _Trees:
    """The tree beside a page that is in no tree: the same for all of a folder."""

    made: dict[tuple[Any, ...], str]

    def __init__(self) -> None:
        self.made = {}

    def share(
        self, app: Any, name: str, template: str, context: dict[str, Any], doctree: Any
    ) -> None:
        if "orphan" not in app.env.metadata.get(name, {}):
            return
        make: Callable[..., str] = context["toctree"]

        def tree(**options: Any) -> str:
            key = (PurePosixPath(name).parent, *sorted(options.items()))
            if key not in self.made:
                self.made[key] = make(**options)
            return self.made[key]

        context["toctree"] = tree


class _Sentences:
    """Docstrings of properties, of which napoleon takes what is before a colon for a type."""

    kept: list[str]

    def keep(
        self, app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
    ) -> None:
        type(self).kept = [*lines]

    @classmethod
    def give_back(
        cls, app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
    ) -> None:
        if what in ("property", "attribute", "data") and "Raises:" not in cls.kept:
            lines[:] = cls.kept


def _by_its_last_word(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Finds an error, which docstrings name without its module."""
    domain = env.domains["py"]
    target = f"qcsc_loop.errors.{node.get('reftarget')}"
    if target not in domain.objects:
        return None
    page = node.get("refdoc")
    return domain.resolve_xref(env, page, app.builder, "exc", target, node, content)
