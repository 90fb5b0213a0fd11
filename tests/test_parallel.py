"""parallel.py: all is done, and only so much of it is begun at once."""

import contextlib
import threading
import time

import pytest

from vidclass import parallel, processes


def test_all_is_done_and_little_of_it_waits():
    taken, most, running, lock = [], 0, 0, threading.Lock()

    def items():
        for number in range(500):
            taken.append(number)
            yield number

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0005)
        with lock:
            running -= 1
        return number * number

    done = {}
    for number, future in parallel.each(work, items(), threads=4):
        done[number] = future.result()
        assert len(taken) - len(done) <= 8
    assert done == {number: number * number for number in range(500)} and most <= 4


def test_what_has_not_begun_is_not_begun_when_it_is_closed():
    begun, release = [], threading.Event()

    def work(number):
        begun.append(number)
        if number:
            release.wait(10)
        if number == 3:
            raise ValueError(number)

    with contextlib.closing(parallel.each(work, range(1000), threads=2)) as results:
        next(results)
        release.set()
    assert len(begun) <= 5


def test_errors_are_in_the_futures():
    for item, future in parallel.each(int, ["1", "x"]):
        if item == "x":
            with pytest.raises(ValueError):
                future.result()


def test_what_waits_ahead_is_bounded_by_its_cost():
    """One waits whatever it costs."""
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield bytes(30 if number < 10 else 200)

    with contextlib.closing(parallel.RunAhead(items(), 100, len)) as ahead:
        time.sleep(0.2)
        assert len(taken) == 4  # three wait, one has no room yet
        for number, item in enumerate(ahead):
            time.sleep(0.005)
            waiting = len(taken) - number - 2
            assert waiting <= (3 if len(item) == 30 else 1)
    assert taken == list(range(20))


def test_what_fails_or_is_closed_ahead_ends():
    closed = threading.Event()

    def items():
        try:
            yield 1
            raise OSError("broken")
        finally:
            closed.set()

    ahead = parallel.RunAhead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="broken"):
        next(ahead)
    assert list(ahead) == [] and closed.is_set()
    threads = threading.active_count()
    endless = parallel.RunAhead(iter(int, 1), 3)
    assert next(endless) == 0
    endless.close()
    assert list(endless) == [] and threading.active_count() == threads


def test_an_interruption_ends_children_that_start_at_that_moment(monkeypatch):
    """A thread that was between two of them begins the next one after the others have been killed."""
    begun = threading.Event()

    def interrupted(*_, **__):
        begun.wait()
        raise KeyboardInterrupt

    def work(_):
        begun.set()
        time.sleep(0.5)  # beside the interruption
        with processes.running(["sleep", "60"]) as child:
            child.wait()
        return child.returncode

    monkeypatch.setattr(parallel, "wait", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(parallel.each(work, range(1), threads=1))
    assert time.monotonic() - start < 30  # of 60
