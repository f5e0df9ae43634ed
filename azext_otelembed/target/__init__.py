"""Which image a site is to run: the app image and the embedded image that follows from it."""
