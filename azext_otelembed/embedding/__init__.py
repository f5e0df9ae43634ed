"""Embedding in a registry: prepare the collector, mount and upload layers, put the manifest."""
