"""
The extension that makes the handbook of what stands in the sources, so that it has one place and
cannot be told wrongly.
"""

from typing import Any

from sphinx.application import Sphinx

from handbook import links, sources, tables


def setup(app: Sphinx) -> dict[str, Any]:
    """
    Tell Sphinx what there is.
    """
    app.add_directive("settings", tables.SettingsDirective)
    app.add_directive("docstring", sources.DocstringDirective)
    app.add_directive("limits", sources.LimitsDirective)
    app.add_directive("reference", sources.ReferenceDirective)
    app.connect("doctree-read", links.resolve)
    app.connect("env-purge-doc", sources.forget)
    app.connect("env-check-consistency", sources.check)
    return {"parallel_read_safe": False}
