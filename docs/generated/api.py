"""The analyses in the page of the Python API, where each is defined."""

from attn_research import analysis

from . import markdown


def pages() -> dict[str, str]:
    """Place in the site -> Markdown, in which mkdocstrings reads the directives."""
    listed = []
    for name in analysis.__all__:
        found = getattr(analysis, name)
        if callable(found):
            listed.append(f"::: {found.__module__}.{found.__qualname__}\n")
    return {"api.md": markdown.filled("api.md", "\n".join(listed))}
