"""mien trains, compares, explains and serves classifiers of facial expressions."""

__version__ = "0.1.0"
