"""Makes images for the double: the collector, a sample app, and images of tests.

`python -m localazure.images` builds the first two, and crane, from the Go modules in the folders
`collector`, `sampleapp` and `tools`; `assemble` makes any image out of bytes.
"""
