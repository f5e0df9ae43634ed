"""Deletes embedded images that no site, release or rollback needs."""
