"""Calls side by side, and a stream read ahead."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from azure.core.credentials import AccessToken

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import Interrupted, OtelembedError
from azext_otelembed.parallel import map_concurrently, read_ahead, run_concurrently, stop_threads
from azext_otelembed.progress import CombinedProgress, Progress
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RequestOptions, RetryOptions


def test_a_stream_is_read_ahead_and_no_further_than_allowed() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    stream = read_ahead(numbers(), 3)
    assert next(stream) == 0
    time.sleep(0.3)
    assert taken == [0, 1, 2, 3, 4]  # one in use, three on the shelf, one in hand
    assert list(stream) == list(range(1, 20))


def test_what_goes_wrong_in_a_stream_is_raised_where_it_is_used() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    stream = read_ahead(numbers(), 3)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="two"):
        next(stream)


def test_a_stream_that_is_left_is_closed() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    stream = read_ahead(numbers(), 3)
    assert next(stream) == 1
    stream.close()
    assert closed.wait(5)


def test_transfers_side_by_side_add_up() -> None:
    told: list[Progress] = []
    total = CombinedProgress(told.append, "copying")
    large, small = total.add(100), total.add(10)
    large(Progress("one", 40, 100))
    small(Progress("other", 10, 10))
    large(Progress("one", 100, 100))
    assert [(each.what, each.done, each.total) for each in told] == [
        ("copying", 40, 110),
        ("copying", 50, 110),
        ("copying", 110, 110),
    ]


def test_each_item_gets_its_result_and_no_more_than_so_many_run_at_once() -> None:
    lock = threading.Lock()
    counts = [0, 0]

    def call(item: int) -> int:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.05)
        with lock:
            counts[0] -= 1
        return item * item

    assert map_concurrently(range(8), call, 2) == [item * item for item in range(8)]
    assert counts[1] == 2
    assert map_concurrently([], call) == []


@pytest.mark.parametrize("error", [ValueError, IndexError])
def test_an_error_is_raised_and_nothing_further_begins(error: type[Exception]) -> None:
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise error(item)
        time.sleep(0.05)

    with pytest.raises(error):
        map_concurrently(range(10), call, 2)
    assert len(begun) < 5


@pytest.fixture
def requests() -> Iterator[dict[str, Callable[[], object]]]:
    """Requests to an address where nothing answers, by their kind."""

    class Token:
        def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
            return AccessToken("token", 2**40)

    session = Session(Token(), "0", "0", "https://localhost:1", "scope", "localhost")
    with RegistryClient("localhost:1", retry=RetryOptions(attempts=1)) as client:
        yield {
            "arm": lambda: Arm(session).post("a", "/x", "1", {}, idempotent=False),
            "registry": lambda: client.http.send("GET", "/v2/", RequestOptions("a")),
        }
    stop_threads(0)


@pytest.mark.parametrize("kind", ["arm", "registry"])
def test_after_a_signal_the_main_thread_alone_sends_requests(
    requests: dict[str, Callable[[], object]], kind: str
) -> None:
    call = requests[kind]
    with pytest.raises(OtelembedError):
        run_concurrently(call)
    stop_threads(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run_concurrently(call)
    with pytest.raises(OtelembedError):
        call()
