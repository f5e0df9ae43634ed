"""`python -m tests.collector.load_generator RATE SECONDS PORT…`: requests to several apps in turn.

Sends GET / to each port RATE times a second, or as often as the machine can. Prints one line for
each port: the durations of its requests in milliseconds. The apps are asked in turn, so each of
them meets the same load of the machine, and their medians can be compared.
"""

from __future__ import annotations

import http.client
import sys
import time


def main(rate: float, seconds: float, ports: list[int]) -> None:
    """Send the requests."""
    connections = [http.client.HTTPConnection("localhost", port, timeout=30) for port in ports]
    took: list[list[float]] = [[] for _ in ports]
    began = time.monotonic()
    number = 0
    while (passed := time.monotonic() - began) < seconds:
        time.sleep(max(0.0, number / rate - passed))
        for step in range(len(ports)):
            which = (number + step) % len(ports)
            start = time.perf_counter()
            connections[which].request("GET", "/")
            connections[which].getresponse().read()
            took[which].append((time.perf_counter() - start) * 1000)
        number += 1
    for each in took:
        print(" ".join(f"{duration:.4f}" for duration in each))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), [int(port) for port in sys.argv[3:]])
