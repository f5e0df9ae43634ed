"""Container images as values: references, manifests, layers, and the embed. No I/O."""
