"""What can be made to go wrong, and the log of what was asked."""
