"""Sites for the apps, on the worker's double with az logged in."""

from __future__ import annotations

from tests.e2e.conftest import cloud, make_site

__all__ = ["cloud", "make_site"]
