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
from .disciplines import Bench, Row

HEAD = ("what", "who", "median s", "fastest to slowest", "ratio", "cpu s", "peak MiB", "new inodes")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sh")
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--channels", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="some of " + ",".join(disciplines.ALL))
    parser.add_argument("--markdown", type=Path, help="where the table goes as Markdown too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds starts at 1")
    arguments.work.mkdir(parents=True, exist_ok=True)
    # Short and always of the same length: the prefix's path is written into files.
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.work.resolve()))
    bench = Bench(arguments.binary.resolve(), arguments.channels.resolve(), folder, arguments.rounds)
    try:
        measure(bench, arguments.only)
        report(bench, arguments.markdown)
    finally:
        # Last, for it takes long and slows what comes after it: see disciplines.py.
        print("deleting what was made", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


def measure(bench: Bench, only: str | None) -> None:
    before = os.getloadavg()
    for discipline in disciplines.chosen(only):
        discipline(bench)
    disciplines.baseline(bench)
    after = os.getloadavg()
    bench.notes.append(
        f"Load average before {before[0]:.1f}, after {after[0]:.1f}; medians of {bench.rounds} rounds "
        f"(what takes milliseconds: of {bench.rounds * disciplines.SHORT_REPEATS} runs)."
    )


def report(bench: Bench, file: Path | None) -> None:
    lines = [cells(row, bench.rows) for row in bench.rows]
    notes = [machine(bench, bench.folder), *bench.notes]
    print(terminal(lines), *notes, sep="\n", flush=True)
    if file:
        file.write_text(markdown(lines) + "\n" + "\n".join(f"- {note}" for note in notes) + "\n")


def cells(row: Row, rows: list[Row]) -> tuple[str, ...]:
    samples = row.samples
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
        "" if samples.inodes is None else f"{samples.inodes:,}",
    )


def terminal(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in [HEAD, *lines]) for column in range(len(HEAD))]

    def line(words: tuple[str, ...]) -> str:
        # The first two columns are words, the others numbers.
        return "  ".join(
            word.ljust(width) if column < 2 else word.rjust(width)
            for column, (word, width) in enumerate(zip(words, widths, strict=True))
        ).rstrip()

    rows = [line(HEAD)]
    above = None
    for words in lines:
        if words[0] != above:
            rows.append("")
            above = words[0]
        rows.append(line(words))
    return "\n".join(rows) + "\n"


def markdown(lines: list[tuple[str, ...]]) -> str:
    def line(words: tuple[str, ...]) -> str:
        return "| " + " | ".join(words) + " |\n"

    ruler = "|" + "|".join(["---", "---", *["---:"] * (len(HEAD) - 2)]) + "|\n"
    return line(HEAD) + ruler + "".join(line(words) for words in lines)


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
    envspec = subprocess.run([bench.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB; {system}, Linux {platform.release()}, {file_system}; "
        f"{envspec}, py-rattler {version('py-rattler')}, Python {platform.python_version()}."
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
