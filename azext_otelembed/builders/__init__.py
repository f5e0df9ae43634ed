"""From source to an app image in the registry: one module for each way of building."""
