"""The version of mien. Files on lower floors write it, and cannot import `mien` itself, which is on the top floor."""

__all__ = ["__version__"]

__version__ = "0.1.0"
