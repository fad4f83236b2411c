"""How Sphinx makes the pages: Furo's look, nothing from elsewhere, a search that works without a server."""

from typing import Any

from docutils import nodes

project = "customer_ltv"
extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
exclude_patterns = [".doctrees"]
# What a COMMENT says is shown as it stands there.
smartquotes = False

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_show_sphinx = False
# It would be fetched, which a page that lies in a folder may not.
html_show_search_summary = False
pygments_style = "default"
pygments_dark_style = "github-dark"


def page_of(app: Any, said: str) -> str | None:
    """Return the page of what a code names: a table, a view, a function, its file, or a guide."""
    name = said.partition("(")[0]
    parts = name.removesuffix(".sql").removesuffix(".md").split("/")
    pages = [f"tables/{name}", f"functions/{name}"]
    if name.startswith("sql/definitions/"):
        pages = [f"tables/{parts[-1]}", f"functions/{parts[-1]}"]
    elif name.startswith("sql/"):
        pages = [f"tables/{'.'.join(parts[1:]).partition('__')[0]}"]
    elif name.startswith("docs/"):
        pages = [f"guides/{parts[-1]}"]
    return next((page for page in pages if "." in name and page in app.env.found_docs), None)


def link_names(app: Any, doctree: nodes.document, docname: str) -> None:
    """Make every code that names something which has a page of its own a link to it."""
    for code in list(doctree.findall(nodes.literal)):
        page = page_of(app, code.astext())
        if page and page != docname and not isinstance(code.parent, nodes.reference | nodes.title):
            link = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(docname, page))
            code.replace_self(link)
            link += code


def setup(app: Any) -> dict[str, bool]:
    """Have names linked when a page is written."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
