"""The page, for the server and for a folder that needs no server.

page/     HTML, CSS and JavaScript as a browser loads them: no build step, no address outside, words in `texts.js` files
the files for a server's page, and those for a page without a server folder    that page with models, a face detector
and the runtime, as a folder
"""

from .files import KINDS, page_files
from .folder import PACKAGE, fetch_runtime, write_page

__all__ = ["KINDS", "PACKAGE", "fetch_runtime", "page_files", "write_page"]
