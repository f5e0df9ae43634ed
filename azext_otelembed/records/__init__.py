"""Release records in the registry: their format, their store and lock, what they tell."""
