"""The collector's configuration, and the connection string it gets from the environment. No I/O."""
