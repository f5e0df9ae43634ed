"""Releasing: observe, plan, embed, apply, verify; each its own module, strung by `deploy`."""
