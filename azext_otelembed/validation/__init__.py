"""`otelcol validate` for a configuration: in a sandbox on this machine, or in an ACR Tasks run."""
