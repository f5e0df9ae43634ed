"""What a site is and how it is changed: observe, plan, preflight, apply, restore."""
