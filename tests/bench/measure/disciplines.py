"""What is measured: each discipline sets the same state up for all, then takes turns.

Rules of all disciplines: everybody works on the same file system with a cache of its own in the
same state; contenders take turns within a round, so that a change of the machine's mood meets
all; `sync` before each one's turn; nothing is deleted before all is measured (on ext4 making files
soon after deleting many is several times slower), old trees are renamed aside instead.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import index
from .run import Sample, Samples, inodes, timed

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
SOLVED = ["python 3.12.*", "jupyterlab", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn"]
GLIBC = "2.39"
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
class Bench:
    """Where and with what."""

    binary: Path
    channels: Path
    folder: Path
    rounds: int
    rows: list[Row] = field(default_factory=list)
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
        sample = timed([sys.executable, "-m", "measure.peer", *words], environment, self.folder)
        seconds = re.search(r"^seconds (.*)$", (self.folder / "last.log").read_text(), re.MULTILINE)
        assert seconds, "the peer prints its seconds"
        return Sample(float(seconds[1]), sample.cpu, sample.peak)

    def link(self, source: Path, destination: Path) -> Sample:
        return timed(["cp", "-al", source, destination], self.environment("floor"), self.folder)

    def aside(self, tree: Path) -> None:
        """Out of the way without deleting."""
        if tree.exists():
            self._aside += 1
            rubbish = self.folder / "aside"
            rubbish.mkdir(exist_ok=True)
            tree.rename(rubbish / str(self._aside))

    def spec(self, name: str, text: str) -> Path:
        path = self.folder / "envs" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def turns(self, discipline: str, work: dict[str, Callable[[], Sample]], repeats: int = 1) -> dict[str, Samples]:
        """Everyone in turn, round by round."""
        results = {contender: Samples() for contender in work}
        for turn in range(self.rounds):
            print(f"{discipline}: round {turn + 1} of {self.rounds}", file=sys.stderr)
            for contender, once in work.items():
                os.sync()
                for _ in range(repeats):
                    results[contender].add(once())
        return results


def current(root: Path, name: str) -> Path:
    """The generation that an environment is at."""
    return (root / "envs" / name).resolve(strict=True)


def packages(prefix: Path) -> int:
    return len(list((prefix / "conda-meta").glob("*.json")))


def nothing(bench: Bench) -> None:
    """Applying what is applied already, small and large, beside the bare start of the program."""
    root = bench.folder / "nothing"
    specs = {"small": bench.spec("small", SMALL), "large": bench.spec("large", LARGE)}
    for path in specs.values():
        bench.envspec(root, "apply", path)
    labels = {
        f"envspec apply, {packages(current(root, name))} packages": path for name, path in specs.items()
    }
    start = "envspec --version"
    work = {start: lambda: bench.envspec(root, "--version")}
    work |= {label: lambda path=path: bench.envspec(root, "apply", path) for label, path in labels.items()}
    for contender, samples in bench.turns("nothing to do", work, SHORT_REPEATS).items():
        bench.rows.append(Row("nothing to do", contender, samples, "" if contender == start else start))
    for name, path in specs.items():
        bench.notes.append(_touched(bench, root, current(root, name), path))


def _touched(bench: Bench, root: Path, prefix: Path, spec: Path) -> str:
    """What a run with nothing to do asks of the system, counted by strace."""
    if not shutil.which("strace"):
        return "strace is not installed: what nothing-to-do touches was not counted."
    trace = bench.folder / "trace.txt"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", trace, "-e", "trace=%file,%network,getdents64",
         "-y", bench.binary, "--root", root, "apply", spec],
        env=bench.environment(root.name), cwd=bench.folder, check=True, capture_output=True,
    )  # fmt: skip
    lines = trace.read_text(errors="replace").splitlines()
    below = sorted({m[1] for line in lines for m in re.finditer(rf'[<"]({re.escape(str(prefix))}/[^">]*)', line)})
    listed = sum("getdents64" in line and str(prefix) in line for line in lines)
    network = sum("AF_INET" in line for line in lines)
    names = ", ".join(str(Path(path).relative_to(prefix)) for path in below) or "none"
    return (
        f"Nothing to do at {packages(prefix)} packages: {len(lines)} system calls on files in all; "
        f"paths looked at below the prefix: {len(below)} ({names}); folders of it listed: {listed}; "
        f"internet sockets: {network}."
    )


def rollback(bench: Bench) -> None:
    """From one generation to the other and back."""
    root = bench.folder / "rollback"
    work = {}
    for name, text in (("small", SMALL), ("large", LARGE)):
        both = []
        for value in ("one", "two"):
            path = bench.spec(name, f"{text}variables: {{BENCH: {value}}}\n")
            bench.envspec(root, "apply", path)
            both.append(current(root, name).name)
        # Back to the state of the other disciplines.
        bench.spec(name, text)
        turn = iter(both * bench.rounds * SHORT_REPEATS)
        label = f"envspec rollback, {packages(current(root, name))} packages"
        work[label] = lambda name=name, turn=turn: bench.envspec(root, "rollback", name, next(turn))
    for contender, samples in bench.turns("rollback", work, SHORT_REPEATS).items():
        bench.rows.append(Row("rollback", contender, samples))


def warm(bench: Bench) -> None:
    """A new generation from a filled cache and a lock; only the generation is missing."""
    discipline = "warm cache"
    root, spec = bench.folder / "warm", bench.spec("large", LARGE)
    bench.envspec(root, "apply", spec)
    prefix = current(root, "large")
    lock, peer, cache = spec.with_suffix(".lock"), bench.folder / "warm-peer", bench.folder / "warm-peer-cache"
    bench.peer("install", lock, peer, cache)
    floor, source = bench.folder / "warm-floor", bench.folder / "warm-source"
    bench.link(prefix, source)

    def envspec() -> Sample:
        bench.aside(prefix)
        return bench.envspec(root, "apply", spec)

    def py_rattler() -> Sample:
        bench.aside(peer)
        return bench.peer("install", lock, peer, cache)

    def cp() -> Sample:
        bench.aside(floor)
        return bench.link(source, floor)

    results = bench.turns(discipline, {"envspec apply": envspec, "py-rattler install": py_rattler, "cp -al": cp})
    results["envspec apply"].inodes = len(inodes(prefix) - inodes(root / "pkgs"))
    results["py-rattler install"].inodes = len(inodes(peer) - inodes(cache))
    results["cp -al"].inodes = len(inodes(floor) - inodes(source))
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender == "cp -al" else "cp -al"))
    bench.notes.append(
        f"The large environment: {packages(prefix)} packages, {_files(prefix)} files. "
        "envspec's runs include kernelspecs, activation, receipt and recipe, and the start of the program; "
        "py-rattler's do not, nor the start of Python."
    )
    cached = {tree: inodes(tree) for tree in (root / "pkgs", cache)}
    written = sum(_bytecode(prefix, cached[root / "pkgs"])), sum(_bytecode(peer, cached[cache]))
    bench.notes.append(
        f"Bytecode written: {written[0]} files by envspec, {written[1]} by py-rattler "
        f"({len(list(prefix.rglob('*.pyc')))} come with the packages)."
    )


def _bytecode(prefix: Path, cached: set[int]) -> Iterable[bool]:
    return (path.stat().st_ino not in cached for path in prefix.rglob("*.pyc"))


def _files(prefix: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(prefix))


def cold(bench: Bench) -> None:
    """Everything from the channel's archives, which are on the same disk."""
    discipline = "cold, file://"
    root, spec = bench.folder / "cold", bench.spec("large", LARGE)
    bench.envspec(bench.folder / "cold-lock", "lock", spec)
    lock, peer, cache = spec.with_suffix(".lock"), bench.folder / "cold-peer", bench.folder / "cold-peer-cache"

    def envspec() -> Sample:
        bench.aside(root)
        return bench.envspec(root, "apply", spec)

    def py_rattler() -> Sample:
        bench.aside(peer)
        bench.aside(cache)
        return bench.peer("install", lock, peer, cache)

    results = bench.turns(discipline, {"envspec apply": envspec, "py-rattler install": py_rattler})
    results["envspec apply"].inodes = len(inodes(root))
    results["py-rattler install"].inodes = len(inodes(peer, cache))
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender.startswith("py") else "py-rattler install"))


def solve(bench: Bench) -> None:
    """Resolving alone, in an index of conda-forge's size that is read as one file."""
    # In a process of its own: a child's peak begins with that of its parent.
    with multiprocessing.get_context("spawn").Pool(1) as apart:
        channel, count = apart.apply(index.make, (bench.folder.parent,))
    discipline = f"solve in {count:,} records"
    listed = "".join(f"  - {spec}\n" for spec in SOLVED)
    spec = bench.spec(
        "solved",
        f"name: solved\nchannels: ['{channel.as_uri()}']\ndependencies:\n{listed}"
        f"platforms: [linux-64]\ntarget: {{glibc: '{GLIBC}'}}\n",
    )
    lock = spec.with_suffix(".lock")
    found: dict[str, int] = {}

    def envspec() -> Sample:
        lock.unlink(missing_ok=True)
        sample = bench.envspec(bench.folder / "solve", "lock", spec)
        found["envspec"] = len(re.findall(r"^- conda: ", lock.read_text(), re.MULTILINE))
        return sample

    def py_rattler() -> Sample:
        sample = bench.peer("solve", channel.as_uri(), GLIBC, bench.folder / "solve-peer", *SOLVED)
        found["py-rattler"] = int((bench.folder / "last.log").read_text().split()[1])
        return sample

    results = bench.turns(discipline, {"envspec lock": envspec, "py-rattler solve": py_rattler})
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender.startswith("py") else "py-rattler solve"))
    bench.notes.append(f"Solved for {', '.join(SOLVED)}: packages found: {json.dumps(found)}.")


def baseline(bench: Bench) -> None:
    """What the peer's host costs by itself, to judge its memory."""
    sample = bench.peer("nothing")
    bench.notes.append(f"Python with rattler imported and nothing done: {sample.peak:.0f} MiB of py-rattler's peak.")


ALL: dict[str, Callable[[Bench], None]] = {
    "nothing": nothing,
    "rollback": rollback,
    "warm": warm,
    "cold": cold,
    "solve": solve,
}


def chosen(words: str | None) -> Iterable[Callable[[Bench], None]]:
    if words is None:
        return ALL.values()
    names = words.split(",")
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise SystemExit(f"--only knows {', '.join(ALL)}, not {', '.join(unknown)}")
    return [ALL[name] for name in names]
