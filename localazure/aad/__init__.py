"""Entra ID: metadata, OpenID configuration and tokens."""
