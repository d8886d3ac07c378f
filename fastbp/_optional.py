"""Packages that fastbp does without until they are asked for."""

from importlib import import_module


def optional(name, install):
    """Import a package, or say how it is installed."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"This needs the package {package}, which cannot be imported: {install}") from error
