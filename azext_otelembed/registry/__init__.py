"""The OCI distribution protocol: `client`, `transfer` (uploads), `tokens`."""
