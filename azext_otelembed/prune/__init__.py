"""Deletes embedded images that no site and no rollback needs."""
