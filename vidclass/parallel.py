"""Work in threads, as much at once as there are processors and no more, however much there is to do."""

import os
import queue
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from vidclass import processes


def each(work, items, threads=None):
    """Yields (item, finished future of work(item)) of all items, as they are done. threads: at once (None:
    one a processor).

    To be closed (contextlib.closing) by whoever may stop early: what has begun is then waited for, the rest
    is not begun.
    """
    threads = threads or len(os.sched_getaffinity(0))
    items, waiting = iter(items), {}
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


def run_ahead(iterable, length=0):
    """Yields the iterable's items, up to `length` of which a thread makes ahead (0: any number). Its
    exceptions come through."""
    items = queue.Queue(length)
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
