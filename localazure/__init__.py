"""localazure: a double of the parts of Azure that otelembed touches, on loopback only.

One process, one event loop: `aad`, `arm`, `acr`, `insights`, `runtime` and `faults` are the rooms.
Started with `python -m localazure`; tests and the demo use `localazure.client`.
"""
