"""Work on many machines with Ray: a worker on each, or on each GPU, takes numbers of things to do and sends
back results.

Ray (requirements-ray.txt) is imported only here. Workers get this suite's modules with the work, the rest of
what they import must be installed on their machines.
"""

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vidclass.keras_loading import muted

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # of the suite
HERE = "local"  # the address of a cluster that is started on this machine, for this run
# Processors of a worker at most, if nothing else is asked for: InceptionV3 scales better over processes than
# over threads.
CPUS = 4
ATTEMPTS = 3  # to connect to a cluster from outside
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell Ray's makers


@dataclass(frozen=True)
class Workers:
    """The processes on a cluster that share the work."""

    count: int | None = None  # at most; None: as many as fit
    cpus: int | None = None  # processors of each; None: see CPUS
    # At once in each, from threads: while one call waits for its last frames, those of the next fill the
    # network.
    calls: int = 2


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """A `with` block on a Ray cluster: HERE, "auto" (one that runs on this machine), ray://head:10001 or
    host:port.

    Raises RuntimeError if Ray is not installed or the cluster can't be reached.
    """
    try:
        import ray
    except ImportError:
        raise RuntimeError("Ray is not installed: pip install -r requirements-ray.txt") from None
    where = {"include_dashboard": False} if address == HERE else {"address": address}
    _check_reachable(address)
    suite, mute = _copy_of_suite(), contextlib.ExitStack()
    try:
        mute.enter_context(muted())
        sigterm = signal.getsignal(signal.SIGTERM)
        try:
            _join(ray, {**where, "runtime_env": {"working_dir": suite}})
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1]  # the last line of a server's traceback
            raise RuntimeError(
                f"the Ray cluster {address} can't be reached ({reason}); does it want a token "
                f"(RAY_AUTH_MODE=token)?"
            ) from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, sigterm)  # Ray puts its own there
        yield
    finally:
        ray.shutdown()
        mute.close()
        shutil.rmtree(suite, ignore_errors=True)


def _join(ray, arguments):
    """ray.init. The process that a cluster starts for a client from outside dies at times before it is
    ready (https://github.com/ray-project/ray/issues/63202), so it is asked for up to ATTEMPTS times."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(**arguments, logging_level=logging.ERROR, log_to_driver=False)
            return
        except ConnectionError as error:
            if "Initialization failure from server" not in str(error) or attempt == ATTEMPTS:
                raise
            ray.shutdown()


def _check_reachable(address):
    """Raises RuntimeError if nothing listens at host:port or ray://host:port: Ray would go on trying for
    minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # local, auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RuntimeError(f"the Ray cluster {address} can't be reached ({error})") from None


def _copy_of_suite():
    """A folder with the modules of this suite and nothing else, which Ray sends to the workers."""
    folder = tempfile.mkdtemp()
    for name in os.listdir(ROOT):
        if name.endswith(".py"):
            shutil.copy(os.path.join(ROOT, name), folder)
    shutil.copytree(
        os.path.join(ROOT, "vidclass"),
        os.path.join(folder, "vidclass"),
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return folder


def resources(workers: Workers) -> tuple[int, int, int]:
    """(number of workers, processors of each, GPUs of each) that fill the connected cluster, within what
    `workers` says. In a cluster with GPUs each worker has one."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    processors = [int(node.get("CPU", 0)) for node in nodes]
    if gpus:
        count = workers.count or gpus
        return count, workers.cpus or max(1, min(sum(processors) // count, max(processors))), 1
    cpus = workers.cpus or max(1, min(CPUS, max(processors)))
    return workers.count or max(1, sum(number // cpus for number in processors)), cpus, 0


def run(
    make: Callable[..., Any],
    arguments: dict[str, Any],
    count: int,
    per_call: int,
    workers: Workers = Workers(),
) -> Iterator[Any]:
    """Yields the results for the numbers 0..count - 1 as they come, in any order.

    make: a class of which each worker holds one, made with the `arguments` and threads=; called with a list
    of numbers, it returns a list of results that JSON can hold. per_call: how many numbers a call gets at
    most. A worker that dies is replaced, and its unfinished calls are done again.
    """
    import ray

    if ray.util.client.ray.is_connected():  # ray://: Ray Data works on the cluster only
        actor: Any = ray.remote(_Driver)
        driver = actor.options(num_cpus=0, max_concurrency=2).remote(
            make, arguments, count, per_call, workers
        )
        while texts := ray.get(driver.take.remote()):
            yield from map(json.loads, texts)
        return
    number, cpus, gpus = resources(workers)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the scripts show one bar of their own
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # Blocks so small that at the end no worker waits long for another.
    blocks = -(-count // max(1, min(per_call, count // (4 * number))))
    most = min(number, blocks)
    numbers = [{"number": number} for number in range(count)]
    results: Any = ray.data.from_items(numbers, override_num_blocks=blocks).map_batches(
        _Worker,
        batch_size=-(-count // blocks),
        num_cpus=cpus,
        num_gpus=gpus,
        zero_copy_batch=True,
        fn_constructor_kwargs={"make": make, "arguments": {**arguments, "threads": cpus}},
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            initial_size=most,
            max_size=most,
            max_concurrent_calls_per_actor=workers.calls,
            enable_true_multi_threading=workers.calls > 1,
            max_tasks_in_flight_per_actor=2 * workers.calls,
        ),
    )
    for row in results.iter_rows():
        yield json.loads(row["result"])


class _Driver:
    """Runs `run` on the cluster for a script that is connected from outside."""

    def __init__(self, *arguments):
        self._results: queue.Queue = queue.Queue()  # None in it is its end
        self._error: BaseException | None = None
        threading.Thread(target=self._fill, args=arguments, daemon=True).start()

    def _fill(self, *arguments):
        try:
            for result in run(*arguments):
                self._results.put(json.dumps(result))
        except BaseException as error:
            self._error = error
        finally:
            self._results.put(None)

    def take(self):
        """The results that have come since the last call, at least one; [] when all have been taken."""
        found = [self._results.get()]
        while found[-1] is not None and not self._results.empty():
            found.append(self._results.get())
        if found[-1] is None:
            self._results.put(found.pop())  # the next call's, too
            if not found and self._error:
                raise self._error
        return found


class _Worker:
    """What Ray makes of a worker's class: results travel as JSON, which holds names that Arrow refuses."""

    def __init__(self, make, arguments):
        self._work = make(**arguments)

    def __call__(self, batch):
        return {"result": [json.dumps(result) for result in self._work(batch["number"].tolist())]}
