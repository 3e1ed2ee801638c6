"""`p2prec sim sweep CONFIG`: many simulations, on all cores of this machine or on a Ray cluster. Ray's only door.

sim.sweep_plan reads what is to run, sim.sweep_run runs one of it in a worker process, sim.sweep_log keeps what is done,
sim.sweep_report tells it. The engines here only carry tasks to workers and rows back: both give the same rows, and a
worker that dies takes nobody else's run along. docs/simulator.md is the manual.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from argparse import Namespace
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager, redirect_stdout
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from node.errors import UserError
from node.report import Report
from sim.sweep_log import SweepLog
from sim.sweep_plan import Parameters, Plan, Study, read_plan
from sim.sweep_report import Trial, figures_of, report_of
from sim.sweep_run import PLAY, Run, RunError, Task, begin_worker, run_one
from sim.tuning import Search

RETRIES = 3
"""Of a run whose worker died: killed, out of memory, crashed."""
DIED = f"its worker died {RETRIES + 1} times: killed, out of memory, or unable to start"
RAY_TASKS_MAX = 1000
"""Handed to Ray at once: enough for many machines, and no hundred thousand objects to wait for."""
ENGINES = ("local", "ray")


def run_sweep(options: Namespace, play: str = PLAY) -> Report:
    """The command. Raises: UserError that says what to change."""
    config = Path(options.config)
    plan = read_plan(config)
    if options.engine not in ENGINES:
        raise UserError(f"no engine {options.engine!r}; there are: {', '.join(ENGINES)}")
    engine: Engine = RayEngine(play) if options.engine == "ray" else LocalEngine(play)
    folder = Path(options.out) if options.out else Path(f"{config.stem}-sweep")
    with (
        SweepLog(folder, plan.document()) as log,
        engine,
        tqdm(total=plan.count, unit=" runs", disable=None, file=sys.stderr) as bar,
    ):
        sweep = _Sweep(plan, engine, log, bar)
        trials = sweep.search(plan.study) if plan.study else None
        if not plan.study:
            sweep.run(list(plan.tasks(plan.settings())))
        return report_of(plan, sweep.tasks, log, sweep.failed, trials)


class _Sweep:
    """A sweep at work: what was asked for, in its order, and what failed."""

    def __init__(self, plan: Plan, engine: Engine, log: SweepLog, bar: tqdm[Any]) -> None:
        self.plan, self.engine, self.log, self.bar = plan, engine, log, bar
        self.tasks: dict[str, Task] = {}
        """By key."""
        self.failed: dict[str, str] = {}
        """Key of the task -> why."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Those that are not done yet, nor failed in this sweep."""
        new = {task.key: task for task in tasks if task.key not in self.tasks}
        self.tasks |= new
        missing = [task for key, task in new.items() if key not in self.log.runs]
        self.bar.update(len(tasks) - len(missing))
        for task, result in self.engine.run(missing) if missing else ():
            if isinstance(result, Run):
                self.log.add(task, result)
            else:
                self.failed[task.key] = result
                self.bar.set_postfix(failed=len(self.failed))
            self.bar.update()

    def search(self, study: Study) -> list[Trial]:
        """All trials of a study, batch by batch. Raises: UserError where no row has its figure."""
        search = Search(study.space, study.trials, study.seed, maximise=study.maximise)
        trials: list[Trial] = []
        while len(trials) < study.trials:
            settings: list[Parameters] = search.ask(min(study.parallel, study.trials - len(trials)))
            batch = [list(self.plan.tasks([setting])) for setting in settings]
            self.run([task for tasks in batch for task in tasks])
            values = [self._value(study, tasks) for tasks in batch]
            if not trials and not self.failed and not any(value is not None for value in values):
                raise UserError(self._no_figure(study, batch[0]))
            search.tell(values)
            trials += [Trial(setting, value) for setting, value in zip(settings, values, strict=True)]
        return trials

    def _value(self, study: Study, tasks: Sequence[Task]) -> float | None:
        """A trial that lost a run has no figure: it would be the mean over others than its rivals'."""
        if any(task.key in self.failed for task in tasks):
            return None
        return study.value([row for task in tasks for row in self.log.runs[task.key].rows])

    def _no_figure(self, study: Study, tasks: Sequence[Task]) -> str:
        rows = [row for task in tasks for row in self.log.runs[task.key].rows]
        those = "".join(f", {name} = {value!r}" for name, value in study.where.items())
        known = ", ".join(sorted({name for row in rows for name in figures_of(row)})) or "none"
        return f"no row has the figure {study.figure!r}{those and ' where' + those[1:]}; figures of the rows: {known}"


class Engine(Protocol):
    """Runs tasks in worker processes. As a context: at its end no worker is left."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Run | str]]:
        """Every task once, as it ends: with its run, or in one sentence why there is none."""
        ...


class LocalEngine:
    """A process for every core, each a pool of its own: it is known which one died, and no other run is lost."""

    def __init__(self, play: str = PLAY, workers: int | None = None) -> None:
        self._play, self._workers = play, workers or cores()
        self._context = multiprocessing.get_context("spawn")
        self._stack = ExitStack()
        self._idle: list[ProcessPoolExecutor] = []
        self._pools: list[ProcessPoolExecutor] = []

    def __enter__(self) -> LocalEngine:
        # One thread a worker: there is one for each core, and sums are added in the same order on every machine.
        self._stack.enter_context(_environment(OMP_NUM_THREADS="1"))
        # It would lift the mask of `_submit` if the first worker started it.
        resource_tracker.ensure_running()
        self._reader, self._writer = self._context.Pipe(duplex=False)
        self._idle = [self._pool() for _ in range(self._workers)]
        return self

    def __exit__(self, *_: object) -> None:
        # Workers leave when this end of the pipe closes, which it also does when this process is killed.
        self._writer.close()
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)
        self._reader.close()
        self._stack.close()

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Run | str]]:
        """As `Engine.run`."""
        waiting, deaths = deque(tasks), Counter[str]()
        at_work: dict[Future[dict[str, Any]], tuple[ProcessPoolExecutor, Task]] = {}
        while waiting or at_work:
            while waiting and self._idle:
                future, pool = self._submit(self._idle.pop(), waiting[0])
                at_work[future] = pool, waiting.popleft()
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                pool, task = at_work.pop(future)
                error = future.exception()
                died = isinstance(error, BrokenExecutor)
                self._idle.append(self._replaced(pool) if died else pool)
                deaths[task.key] += died
                if died and deaths[task.key] <= RETRIES:
                    waiting.appendleft(task)
                elif error:
                    yield task, DIED if died else _why(error)
                else:
                    yield task, Run(**future.result())

    def _submit(self, pool: ProcessPoolExecutor, task: Task) -> tuple[Future[dict[str, Any]], ProcessPoolExecutor]:
        # The worker that this may start inherits the mask: Ctrl-C, which the terminal sends to all, is the parent's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            try:
                return pool.submit(run_one, task, self._play), pool
            except BrokenExecutor:  # its worker died idle
                pool = self._replaced(pool)
                return pool.submit(run_one, task, self._play), pool
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _pool(self) -> ProcessPoolExecutor:
        """Starts its process with the first task."""
        pool = ProcessPoolExecutor(1, self._context, begin_worker, (self._reader,))
        self._pools.append(pool)
        return pool

    def _replaced(self, pool: ProcessPoolExecutor) -> ProcessPoolExecutor:
        self._pools.remove(pool)
        pool.shutdown()
        return self._pool()


class RayEngine:
    """Ray's tasks: on the cluster that RAY_ADDRESS names, else on a Ray of this machine that ends with the sweep."""

    def __init__(self, play: str = PLAY) -> None:
        """Raises: UserError without Ray."""
        self._play, self._stack = play, ExitStack()
        try:
            import ray
        except ImportError as error:
            raise UserError(f"--engine ray needs Ray ({error}): pip install 'p2prec[ray]'") from None
        self._ray: Any = ray

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Run | str]]:
        """As `Engine.run`."""
        if not self._ray.is_initialized():
            self._start()
        # Without retry_exceptions only death is tried again, not a run that says what is wrong.
        remote = self._ray.remote(num_cpus=1, max_retries=RETRIES)(run_one)
        waiting = deque(tasks)
        at_work: dict[Any, Task] = {}
        while waiting or at_work:
            while waiting and len(at_work) < RAY_TASKS_MAX:
                task = waiting.popleft()
                at_work[remote.remote(task, self._play)] = task
            for done in self._ray.wait(list(at_work))[0]:
                yield at_work.pop(done), self._result(done)

    def _start(self) -> None:
        self._stack.enter_context(_environment(OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0"))
        # Ray prints on stdout when a worker dies; there the answer belongs.
        self._stack.enter_context(redirect_stdout(sys.stderr))
        address = os.environ.get("RAY_ADDRESS", "")
        # "local": a Ray that somebody else runs on this machine is left alone.
        own = {} if address else {"address": "local", "num_cpus": cores(), "include_dashboard": False}
        try:
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            said = " ".join(str(error).split())
            raise UserError(f"Ray does not start{address and f' at RAY_ADDRESS {address}'}: {said}") from None
        self._stack.callback(self._ray.shutdown)

    def _result(self, done: Any) -> Run | str:
        errors = self._ray.exceptions
        try:
            return Run(**self._ray.get(done))
        except errors.RayTaskError as error:
            return _why(error.cause)
        except errors.RayError:
            return DIED


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set for the processes that start meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
