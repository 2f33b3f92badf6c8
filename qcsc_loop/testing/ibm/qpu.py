"""Jobs in the queue, on the machine, and over."""

from __future__ import annotations

import time
import traceback
from threading import Condition, Lock, Thread

from qcsc_loop.testing.ibm.job import Ending, Job, JobState
from qcsc_loop.testing.ibm.programs import run_program

STOP_SECONDS = 30.0
NOT_RUN = 9999


class QPU:
    """Leads each job through its life, in a thread of its own; programs run one at a time.

    Args:
        changed: is held for every change of a job, and told of it.
        seed: of the samples.
    """

    def __init__(self, changed: Condition, seed: int) -> None:
        self._changed = changed
        self._seed = seed
        self._machine = Lock()
        self._held = False
        self._stopped = False
        self._threads: list[Thread] = []

    def take(self, job: Job) -> None:
        """Queues a job."""
        thread = Thread(target=self._lead, args=(job,), name=f"ibm-job-{job.id}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def hold(self, held: bool) -> None:
        """Keeps queued jobs where they are, or does not any longer."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def end(self, job: Job, ending: Ending) -> bool:
        """Ends a job.

        Returns:
            False if it was over.
        """
        with self._changed:
            if job.is_over:
                return False
            job.ending, job.state, job.ended = ending, ending.state, round(time.time(), 6)
            self._changed.notify_all()
            return True

    def stop(self) -> None:
        """Jobs stay as they are; one whose program runs is waited for."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _lead(self, job: Job) -> None:
        queued = time.monotonic()
        if not self._lives_until(job, queued + job.queue_seconds, in_queue=True):
            return
        with self._changed:
            job.state, job.started = JobState.RUNNING, round(time.time(), 6)
            self._changed.notify_all()
        started = time.monotonic()
        ending = job.destined or self._run(job)
        if self._lives_until(job, started + job.run_seconds):
            self.end(job, ending)

    def _lives_until(self, job: Job, moment: float, *, in_queue: bool = False) -> bool:
        with self._changed:
            while not (job.is_over or self._stopped):
                left = moment - time.monotonic()
                if left <= 0 and not (in_queue and self._held):
                    return True
                self._changed.wait(left if left > 0 else None)
        return False

    def _run(self, job: Job) -> Ending:
        with self._machine:
            if job.is_over or self._stopped:
                return Ending(JobState.CANCELLED)
            try:
                output = run_program(job.program, job.params, self._seed)
            # whatever it is, it is the program's owner who has to see it
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                return Ending(JobState.FAILED, reason, NOT_RUN, traceback.format_exc())
        return Ending(JobState.COMPLETED, result=output.text, qpu_seconds=output.qpu_seconds)
