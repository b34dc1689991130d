"""Runs the disciplines and prints the table; see bench.sh."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from . import disciplines
from .bench import SHORT_REPEATS, Bench, Grown, Row
from .space import MIB
from .table import Table

HEAD = ("what", "who", "median s", "fastest to slowest", "ratio", "cpu s", "peak MiB", "new inodes", "new MiB")
SIZES = ("generation", "who", "new inodes", "folders", "MiB of data", "MiB on disk")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sh")
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--channels", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--conda-pack", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="some of " + ",".join(disciplines.ALL))
    parser.add_argument("--markdown", type=Path, help="where the table goes as Markdown too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds starts at 1")
    arguments.work.mkdir(parents=True, exist_ok=True)
    # Short and always of the same length: the prefix's path is written into files.
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.work.resolve()))
    # Absolute, not resolved: a program of a venv may be a link.
    conda_pack = arguments.conda_pack and arguments.conda_pack.absolute()
    bench = Bench(arguments.binary.resolve(), arguments.channels.resolve(), folder, arguments.rounds, conda_pack)
    try:
        measure(bench, arguments.only)
        report(bench, arguments.markdown)
    finally:
        # Last, for it takes long and slows what comes after it: see disciplines.py.
        print("deleting what was made", file=sys.stderr)
        writable(folder)
        shutil.rmtree(folder, ignore_errors=True)


def measure(bench: Bench, only: str | None) -> None:
    before = os.getloadavg()
    for discipline in disciplines.chosen(only):
        discipline(bench)
    disciplines.baseline(bench)
    after = os.getloadavg()
    bench.notes.append(
        f"Load average before {before[0]:.1f}, after {after[0]:.1f}; medians of {bench.rounds} rounds "
        f"(what takes milliseconds: of {bench.rounds * SHORT_REPEATS} runs)."
    )


def writable(folder: Path) -> None:
    """Generations are read-only; whoever is not root can't delete below such folders."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(inner.stat().st_mode | 0o700)


def report(bench: Bench, file: Path | None) -> None:
    tables = []
    if bench.rows:
        tables.append(Table(HEAD, [cells(row, bench.rows) for row in bench.rows]))
    if bench.grown:
        tables.append(Table(SIZES, [sizes(line) for line in bench.grown]))
    notes = [machine(bench, bench.folder), *bench.notes]
    print(*(table.terminal() for table in tables), *notes, sep="\n", flush=True)
    if file:
        listed = "\n".join(f"- {note}" for note in notes)
        file.write_text("\n".join([*(table.markdown() for table in tables), listed]) + "\n")


def cells(row: Row, rows: list[Row]) -> tuple[str, ...]:
    samples, size = row.samples, row.samples.size
    digits = 4 if samples.wall() < 0.1 else 2
    low, high = samples.spread()
    ratio = "1"
    if row.against:
        other = next(r for r in rows if (r.discipline, r.contender) == (row.discipline, row.against))
        ratio = f"{samples.wall() / other.samples.wall():.2f}"
    elif not any(r.against for r in rows if r.discipline == row.discipline):
        ratio = ""
    return (
        row.discipline,
        row.contender,
        f"{samples.wall():.{digits}f}",
        f"{low:.{digits}f} to {high:.{digits}f}",
        ratio,
        f"{samples.cpu():.{digits}f}",
        samples.peak(),
        f"{size.inodes:,}" if size else "",
        f"{size.disk / MIB:.1f}" if size else "",
    )


def sizes(line: Grown) -> tuple[str, ...]:
    size = line.size
    return (
        line.generation,
        line.contender,
        f"{size.inodes:,}",
        f"{size.folders:,}",
        f"{size.data / MIB:.1f}",
        f"{size.disk / MIB:.1f}",
    )


def machine(bench: Bench, folder: Path) -> str:
    """The machine and the versions, in one line."""
    cpu = next(
        (text.split(":", 1)[1].strip() for text in _lines(Path("/proc/cpuinfo")) if text.startswith("model name")),
        platform.machine(),
    )
    memory = next(int(text.split()[1]) for text in _lines(Path("/proc/meminfo")) if text.startswith("MemTotal"))
    system = next(
        (text.split("=", 1)[1].strip('"') for text in _lines(Path("/etc/os-release")) if text.startswith("PRETTY_NAME")),
        platform.system(),
    )
    file_system = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", folder], capture_output=True, text=True, check=True
    ).stdout.strip()
    envspec = _version(bench.binary)
    conda_pack = f"{_version(bench.conda_pack)}, " if bench.conda_pack else ""
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB; {system}, Linux {platform.release()}, {file_system}; "
        f"{envspec}, py-rattler {version('py-rattler')}, {conda_pack}Python {platform.python_version()}."
    )


def _version(program: Path) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
