"""The page, for the server and for a folder that needs no server.

page/     HTML, CSS and JavaScript as a browser loads them: no build step, no address outside, words in `texts.js`
files     which of them make the page of a server, and which the one that answers by itself
folder    that page with models, a face detector and the runtime, as a folder
"""

from .files import KINDS, page_files
from .folder import PACKAGE, fetch_runtime, write_page

__all__ = ["KINDS", "PACKAGE", "fetch_runtime", "page_files", "write_page"]
