"""What kills the workers of a cluster on this machine."""

import os
import signal
import threading
import time

import psutil


def worker_processes():
    """Return processes of this one's in which Dask works, for some seconds already.

    A worker that dies while it starts is not replaced, so these are spared.
    """
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            is_old = time.time() - one.create_time() > 4
            if is_old and "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


class Killer(threading.Thread):
    """Kills a worker now and then, as often as it was told, once work has begun."""

    def __init__(self, rng, n_kills, begun):
        super().__init__(daemon=True)
        self.begun = begun
        self.rng, self.n_kills, self.n_killed = rng, n_kills, 0
        self.over = threading.Event()

    def run(self):
        while self.n_killed < self.n_kills:
            if self.over.wait(self.rng.uniform(0.5, 2)):
                return
            processes = worker_processes()
            if not processes or not self.begun.exists():
                continue
            one = processes[self.rng.integers(len(processes))]
            os.kill(one.pid, signal.SIGKILL)
            self.n_killed += 1
