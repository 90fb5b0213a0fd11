"""What the benchmarks share: contenders that take turns, since the machine's speed changes while one looks at
it."""

import statistics
import time


def take_turns(contenders, rounds):
    """Calls each contender in turn, `rounds` times after one round that doesn't count.

    contenders: dict of name to a function without arguments. Returns a dict of name to the seconds of its
    calls.
    """
    for work in contenders.values():
        work()
    seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow, fast):
    """How many times as fast the second is: the median over the rounds of the quotients of two lists of
    seconds."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
