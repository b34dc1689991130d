"""Bytecode: what it adds to a warm create, and what a kernel's start gains.

envspec has no switch that leaves bytecode out. Two roots stand beside one another instead: in
one the cache's bytecode entries are empty, as they would be of packages without a line of Python.
The same program then does all the same work but for the bytecode's links, hashes and manifest lines.
"""

from __future__ import annotations

from pathlib import Path

from .bench import LARGE, Bench, Row, current
from .run import Sample, timed
from .space import MIB, added, survey

SOURCE = Path(__file__).parent / "first_reply.py"
COMPILE = '"$0/bin/python" -m compileall -q -j 0 "$0"/lib/python3.* >"$1" || true'
"""Fails for sources that are no Python of this version: packages bring such, too."""


def bytecode(bench: Bench) -> None:
    """A warm create with bytecode and without, and what making it costs, to envspec and to others."""
    (root, prefix), (bare, lacking) = _roots(bench)
    spec = bench.folder / "envs" / "large.yaml"
    peer, cache = bench.folder / "bytecode-peer", bench.folder / "bytecode-cache"
    bench.peer("install", spec.with_suffix(".lock"), peer, cache)

    def linked() -> Sample:
        bench.aside(prefix)
        return bench.envspec(root, "apply", spec)

    def without() -> Sample:
        bench.aside(lacking)
        return bench.envspec(bare, "apply", spec)

    def compiled() -> Sample:
        bench.aside(root / "pkgs" / ".bytecode")
        return linked()

    def py_rattler() -> Sample:
        bench.aside(peer)
        return bench.peer("install", spec.with_suffix(".lock"), peer, cache)

    def compileall() -> Sample:
        """In the prefix that py-rattler has just made."""
        environment = bench.environment("peer")
        return timed(["sh", "-c", COMPILE, peer, bench.folder / "compileall.log"], environment, bench.folder)

    baseline = "envspec apply, without"
    work = {
        baseline: without,
        "envspec apply, linked": linked,
        "envspec apply, compiled anew": compiled,
        "py-rattler install, without": py_rattler,
        "python -m compileall -j 0": compileall,
    }
    discipline = "bytecode, warm cache"
    results = bench.turns(discipline, work)
    packages = survey(root / "pkgs")
    results[baseline].size = added(survey(bare / "pkgs"), survey(lacking))
    results["envspec apply, linked"].size = added(packages, survey(prefix))
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender == baseline else baseline))
    made = survey(root / "pkgs" / ".bytecode")
    bench.notes.append(
        f"Bytecode: {_count(prefix)} files with it, {_count(lacking)} without (those the packages bring), "
        f"{_count(peer)} after compileall, which compiles for one prefix what envspec compiles for all "
        f"({added({}, made).data / MIB:.1f} MiB in the cache). Without is a cache with empty entries of bytecode. "
        "Compiled anew is warm but for the bytecode, as a first apply that only lacks that."
    )


def start(bench: Bench) -> None:
    """The imports of a Python kernel, and a kernel from its registered kernelspec to its first reply."""
    (root, prefix), (bare, lacking) = _roots(bench)
    assert _count(lacking) < _count(prefix), "one of the two has less bytecode"

    def imports(home: Path, python: Path) -> Sample:
        words = [python / "bin/python", "-c", "import ipykernel.kernelapp, IPython"]
        return timed(words, _unwritten(bench, home), bench.folder)

    def reply(home: Path) -> Sample:
        """The one who asks always has bytecode; the kernel is that of the home."""
        words = [prefix / "bin/python", SOURCE, "large-python"]
        return bench.told(timed(words, _unwritten(bench, home), bench.folder))

    disciplines = {
        "kernel's imports": {
            "with bytecode": lambda: imports(root, prefix),
            "without": lambda: imports(bare, lacking),
        },
        "kernel to first reply": {
            "with bytecode": lambda: reply(root),
            "without": lambda: reply(bare),
        },
    }
    for discipline, work in disciplines.items():
        # Once unmeasured: files come from memory for all.
        for once in work.values():
            once()
        for contender, samples in bench.turns(discipline, work).items():
            bench.rows.append(Row(discipline, contender, samples, "" if contender == "with bytecode" else "with bytecode"))
    bench.notes.append(
        "Start: Python may write no bytecode (PYTHONDONTWRITEBYTECODE), as nobody can write into a generation; "
        "without leaves what packages bring. "
        "The first reply is to a line of code, from the start of the kernel's process."
    )


def _unwritten(bench: Bench, root: Path) -> dict[str, str]:
    return bench.environment(root.name, PYTHONDONTWRITEBYTECODE="1")


def _roots(bench: Bench) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Root and generation, with bytecode and without; made once for both disciplines."""
    spec = bench.spec("large", LARGE)
    root, bare = bench.folder / "bytecode-with", bench.folder / "bytecode-without"
    if not bare.exists():
        bench.envspec(root, "apply", spec)
        bench.envspec(bare, "apply", spec)
        bench.aside(current(bare, "large"))
        for manifest in (bare / "pkgs" / ".bytecode").glob("*/*/manifest"):
            manifest.unlink()
            manifest.touch()
        bench.envspec(bare, "apply", spec)
    return (root, current(root, "large")), (bare, current(bare, "large"))


def _count(prefix: Path) -> int:
    return sum(1 for _ in prefix.rglob("*.pyc"))
