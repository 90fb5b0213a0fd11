"""Work in threads, as much at once as there are processors and no more, however much there is to do."""

import queue
import threading
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
        processes.kill_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class RunAhead:
    """Iterates over an iterable's items, which a thread takes from it ahead of time, from now on, at most
    `length` of them (0: any number). The iterable's exceptions are raised here.

    To be closed (contextlib.closing) by whoever may stop early: the thread, and the iterable, then end.
    """

    def __init__(self, iterable: Iterable, length: int = 0) -> None:
        self._items: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(length)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, args=[iterable], daemon=True)
        self._thread.start()

    def __iter__(self) -> "RunAhead":
        return self

    def __next__(self) -> Any:
        if self._stopped.is_set():
            raise StopIteration
        item, error = self._items.get()
        if error is not None:
            self.close()
            raise error
        return item

    def close(self) -> None:
        """Waits for the thread to end. What it has taken ahead is lost."""
        self._stopped.set()
        self._thread.join()

    def _produce(self, iterable):
        try:
            for item in iterable:
                self._put((item, None))
                if self._stopped.is_set():
                    break
            self._put((None, StopIteration()))
        except BaseException as error:
            self._put((None, error))
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    def _put(self, item):
        while not self._stopped.is_set():
            try:
                return self._items.put(item, timeout=0.1)
            except queue.Full:
                pass
