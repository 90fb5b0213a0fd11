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


def run_ahead(iterable: Iterable, length: int = 0) -> Generator:
    """Yields the iterable's items, which a thread takes from it ahead of time, at most `length` of them (0:
    any number). The iterable's exceptions are raised here."""
    items: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(length)
    stopped = threading.Event()

    def put(item):
        while not stopped.is_set():
            try:
                return items.put(item, timeout=0.1)
            except queue.Full:
                pass

    def produce():
        try:
            for item in iterable:
                put((item, None))
                if stopped.is_set():
                    break
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()
