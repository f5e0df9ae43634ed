"""Makes the images that the double serves: the collector, a sample app, whatever a test needs.

`python -m localazure.images` builds the first two, and crane, from the Go modules in the folders
`collector`, `sampleapp` and `tools`; `assemble` makes any image out of bytes.
"""
