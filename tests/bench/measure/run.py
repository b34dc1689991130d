"""One timed run: wall seconds, processor seconds, peak memory of the whole process tree.

Deliberately without a shell or /usr/bin/time between: the kernel's own account of the
child and of all that it waited for (wait4) is what both would report.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .space import Size


@dataclass(frozen=True)
class Sample:
    """What one run cost."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """Processor seconds, user and system, of all processes of the run."""
    peak: float
    """MiB of the largest process of the run at its largest.

    Linux counts what a process was before exec: never less than the launcher's own.
    """


@dataclass
class Samples:
    """The runs of one contender in one discipline."""

    all: list[Sample] = field(default_factory=list)
    size: Size | None = None
    """What one run made on the disk."""

    def add(self, sample: Sample) -> None:
        self.all.append(sample)

    def wall(self) -> float:
        return statistics.median(sample.wall for sample in self.all)

    def cpu(self) -> float:
        return statistics.median(sample.cpu for sample in self.all)

    def peak(self) -> str:
        """MiB, rounded; where the figure is this process's own (see `Sample`), only a bound."""
        peak = max(sample.peak for sample in self.all)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return f"≤ {own:.0f}" if peak <= own else f"{peak:.0f}"

    def spread(self) -> tuple[float, float]:
        return min(s.wall for s in self.all), max(s.wall for s in self.all)


def timed(command: list[str | Path], environment: dict[str, str], folder: Path) -> Sample:
    """Runs a command to its end; what it says goes to `folder/last.log`, shown if it fails."""
    log = folder / "last.log"
    with log.open("wb") as out:
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise SystemExit(f"failed with {child.returncode}: {words}\n{log.read_text()}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
