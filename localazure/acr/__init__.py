"""The registries' data plane, and the blob storage behind it."""
