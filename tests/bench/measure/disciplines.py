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
from collections.abc import Callable, Iterable
from pathlib import Path

from . import index
from .bench import LARGE, SHORT_REPEATS, SMALL, Bench, Row, current, packages
from .bytecode import bytecode, start
from .change import change
from .check import check
from .collect import gc
from .growth import growth
from .kernels import kernels
from .run import Sample
from .space import added, survey
from .verify import verify

SOLVED = ["python 3.12.*", "jupyterlab", "numpy", "scipy", "pandas", "matplotlib", "scikit-learn"]
GLIBC = "2.39"


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
    results["envspec apply"].size = added(survey(root / "pkgs"), survey(prefix))
    results["py-rattler install"].size = added(survey(cache), survey(peer))
    results["cp -al"].size = added(survey(source), survey(floor))
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender == "cp -al" else "cp -al"))
    bench.notes.append(
        f"The large environment: {packages(prefix)} packages, {_files(prefix)} files. "
        "envspec's runs include kernelspecs, activation, receipt and recipe, and the start of the program; "
        "py-rattler's do not, nor the start of Python."
    )
    bench.notes.append(
        f"Bytecode: {len(list(prefix.rglob('*.pyc')))} files in envspec's prefix, linked from its cache; "
        f"{len(list(peer.rglob('*.pyc')))} in py-rattler's, those that come with the packages."
    )


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
    results["envspec apply"].size = added({}, survey(root))
    results["py-rattler install"].size = added({}, survey(peer, cache))
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
    "check": check,
    "rollback": rollback,
    "warm": warm,
    "cold": cold,
    "solve": solve,
    "change": change,
    "growth": growth,
    "bytecode": bytecode,
    "start": start,
    "kernels": kernels,
    "verify": verify,
    # Last, for it deletes.
    "gc": gc,
}


def chosen(words: str | None) -> Iterable[Callable[[Bench], None]]:
    if words is None:
        return ALL.values()
    names = words.split(",")
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise SystemExit(f"--only knows {', '.join(ALL)}, not {', '.join(unknown)}")
    return [discipline for name, discipline in ALL.items() if name in names]
