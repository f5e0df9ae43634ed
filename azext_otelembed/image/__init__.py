"""Container images as values: references, manifests, layers, and the embed itself. No I/O."""
