"""The collector's configuration and what it is told by the environment. No I/O."""
