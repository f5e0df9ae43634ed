"""Whether a site came up with its image: evidence, the verdict, the log lines shown."""
