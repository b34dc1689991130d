"""What every discipline works with: the environments, the contenders' runs, the table's lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .run import Sample, Samples, timed
from .space import Size

LARGE = """\
name: large
channels: [conda-forge]
dependencies:
  - python 3.11.*
  - jupyterlab
kernels: [python, r, bash]
"""
SMALL = """\
name: small
channels: [conda-forge]
dependencies:
  - python 3.11.*
"""
SHORT_REPEATS = 10
"""Runs a round of what takes milliseconds."""


@dataclass
class Row:
    """One line of the table."""

    discipline: str
    contender: str
    samples: Samples
    against: str = ""
    """The contender of the same discipline that the ratio is to; none for that one itself."""


@dataclass
class Grown:
    """One line of the table of sizes."""

    generation: str
    contender: str
    size: Size


@dataclass
class Bench:
    """Where and with what."""

    binary: Path
    channels: Path
    folder: Path
    rounds: int
    conda_pack: Path | None
    """The program; none if it could not be installed."""
    rows: list[Row] = field(default_factory=list)
    grown: list[Grown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _aside: int = 0

    def environment(self, home: str, **more: str) -> dict[str, str]:
        """Nothing of the caller's but PATH: settings of rattler, pip or Python would decide.

        Everyone has a home: two roots may not register kernels of the same name in one.
        """
        folder = self.folder / "home" / home
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ENVSPEC_CHANNEL_ALIAS": self.channels.as_uri() + "/",
            **more,
        }

    def envspec(self, root: Path, *words: str | Path) -> Sample:
        return timed([self.binary, "--root", root, *words], self.environment(root.name), self.folder)

    def peer(self, *words: str | Path) -> Sample:
        """py-rattler's run; its wall time without the start of Python and the import."""
        environment = self.environment(
            "peer",
            PYTHONPATH=str(Path(__file__).parent.parent), PYTHONDONTWRITEBYTECODE="1"
        )
        return self.told(timed([sys.executable, "-m", "measure.peer", *words], environment, self.folder))

    def told(self, sample: Sample) -> Sample:
        """The last run, with the wall time that it told itself."""
        seconds = re.search(r"^seconds (.*)$", (self.folder / "last.log").read_text(), re.MULTILINE)
        assert seconds, "the run prints its seconds"
        return Sample(float(seconds[1]), sample.cpu, sample.peak)

    def link(self, source: Path, destination: Path) -> Sample:
        return timed(["cp", "-al", source, destination], self.environment("floor"), self.folder)

    def aside(self, tree: Path) -> None:
        """Out of the way without deleting."""
        if tree.exists():
            if tree.is_dir():
                # Only root may rename a read-only folder.
                tree.chmod(tree.stat().st_mode | 0o200)
            self._aside += 1
            rubbish = self.folder / "aside"
            rubbish.mkdir(exist_ok=True)
            tree.rename(rubbish / str(self._aside))

    def spec(self, name: str, text: str) -> Path:
        path = self.folder / "envs" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def turns(
        self, discipline: str, work: dict[str, Callable[[], Sample]], repeats: int = 1, rounds: int = 1
    ) -> dict[str, Samples]:
        """Everyone in turn, round by round, `rounds` for each of the bench's; each round another begins."""
        results = {contender: Samples() for contender in work}
        contenders = list(work)
        for turn in range(self.rounds * rounds):
            if turn % rounds == 0:
                print(f"{discipline}: round {turn // rounds + 1} of {self.rounds}", file=sys.stderr)
            first = turn % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                once = work[contender]
                os.sync()
                for _ in range(repeats):
                    results[contender].add(once())
        return results


def current(root: Path, name: str) -> Path:
    """The generation that an environment is at."""
    return (root / "envs" / name).resolve(strict=True)


def packages(prefix: Path) -> int:
    return len(list((prefix / "conda-meta").glob("*.json")))
