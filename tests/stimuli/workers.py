"""What kills the workers of a cluster on this machine."""

import os
import signal
import threading

import psutil


def worker_processes():
    """Return the processes that this one started in which Dask works."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


class Killer(threading.Thread):
    """Kills a worker now and then, as often as it was told."""

    def __init__(self, rng, n_kills):
        super().__init__(daemon=True)
        self.rng, self.n_kills, self.n_killed = rng, n_kills, 0
        self.over = threading.Event()

    def run(self):
        while self.n_killed < self.n_kills:
            if self.over.wait(self.rng.uniform(0.5, 2)):
                return
            processes = worker_processes()
            if len(processes) < 2:
                continue
            one = processes[self.rng.integers(len(processes))]
            os.kill(one.pid, signal.SIGKILL)
            self.n_killed += 1
