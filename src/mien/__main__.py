"""`python -m mien` is the command line."""

from .cli import main

main()
