"""Verifies that a site runs its image: evidence, the verdict, the log lines shown."""
