"""localazure: a double of the parts of Azure that otelembed uses, on loopback only.

One process with one event loop. Each of the packages `aad`, `arm`, `acr`, `insights`, `runtime` and
`faults` is a service. `python -m localazure` starts it; tests and the demo use `localazure.client`.
"""
