"""parallel.py: all is done, and only so much of it is begun at once."""

import contextlib
import threading
import time

import pytest

from vidclass import parallel


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
