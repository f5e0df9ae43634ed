"""The embed carried out: the collector brought in, blobs mounted and uploaded, the manifest put."""
