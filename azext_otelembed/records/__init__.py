"""The records of releases, kept in the registry; and the lock that they are."""
