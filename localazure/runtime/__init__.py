"""The part of the double that runs a site's container: pull, start, probe, serve, stop."""
