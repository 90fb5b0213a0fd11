"""Work in threads, as much at once as there are processors and no more, however much there is to do."""

import collections
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from vidclass import platform, processes


def each(
    work: Callable, items: Iterable, threads: int | None = None
) -> Generator[tuple[Any, Future], None, None]:
    """Yields (item, finished future of work(item)) of all items, as they are done. threads: at once (None:
    one a processor).

    To be closed (contextlib.closing) by whoever may stop early: what has begun is then waited for, the rest
    is not begun.
    """
    threads = threads or platform.cpu_count()
    items, waiting = iter(items), {}  # waiting: {future: item}
    pool = ThreadPoolExecutor(threads)
    try:
        while True:
            for item in items:
                waiting[pool.submit(work, item)] = item
                if len(waiting) >= 2 * threads:  # one more for each thread, to begin at once
                    break
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future
    except GeneratorExit:
        raise
    except BaseException:  # Ctrl-C while it waits: what has begun must not keep it
        stop(pool, waiting)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def stop(pool: ThreadPoolExecutor, futures: Iterable[Future]) -> None:
    """Begins nothing more of a pool's futures, and ends those that wait for child processes."""
    pool.shutdown(wait=False, cancel_futures=True)
    while not all(future.done() for future in futures):  # one may just start its next ffmpeg
        processes.kill_all()
        time.sleep(0.05)


class RunAhead:
    """Iterates over an iterable's items, which a thread takes from it ahead of time, from now on. The
    iterable's exceptions are raised here.

    most: what the items that wait may cost together (0: anything); one may wait whatever it costs.
    cost(item): 1 by default. To be closed (contextlib.closing) by whoever may stop early: the thread, and the
    iterable, then end.
    """

    def __init__(
        self, iterable: Iterable, most: int = 0, cost: Callable[[Any], int] = lambda item: 1
    ) -> None:
        self._most, self._cost, self._held = most, cost, 0
        self._items: collections.deque[tuple[Any, int, BaseException | None]] = collections.deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._produce, args=[iterable], daemon=True)
        self._thread.start()

    def __iter__(self) -> "RunAhead":
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._stopped)
            if self._stopped:
                raise StopIteration
            item, cost, error = self._items.popleft()
            self._held -= cost
            self._changed.notify_all()
        if error is not None:
            self.close()
            raise error
        return item

    def close(self) -> None:
        """Waits for the thread to end. What it has taken ahead is lost."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()
        self._thread.join()

    def _produce(self, iterable):
        try:
            for item in iterable:
                self._put(item, self._cost(item), None)
                if self._stopped:
                    break
            self._put(None, 0, StopIteration())
        except BaseException as error:
            self._put(None, 0, error)
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    def _put(self, item, cost, error):
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not self._most or not self._items or self._held + cost <= self._most
            )
            self._items.append((item, cost, error))
            self._held += cost
            self._changed.notify_all()
