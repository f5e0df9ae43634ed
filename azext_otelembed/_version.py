"""The version of the extension. A test holds it to pyproject.toml."""

__version__ = "0.1.0"
