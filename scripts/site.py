"""What the site needs beside the pages: a link that leaves `docs/` becomes the path itself, as it leads nowhere there.

In the repository such links work; MkDocs, which calls these functions by their names, would warn of each.
"""

import posixpath
import re
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text of a page with every link out of `docs/` replaced by its words and the path in the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        words, target = match.groups()
        path = posixpath.normpath(posixpath.join("docs", folder, target.partition("#")[0]))
        if ":" in target or path.startswith("docs/") or not target.partition("#")[0]:
            return match.group(0)
        return words if words.strip("`") == path else f"{words} (`{path}`)"

    return LINK.sub(inside, markdown)
