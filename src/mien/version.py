"""The version, for whoever writes it into a file: `mien` itself, the top floor, is out of reach from below."""

__all__ = ["__version__"]

__version__ = "0.1.0"
