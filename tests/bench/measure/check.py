"""Reading and judging a long spec, beside the bare start of the program."""

from __future__ import annotations

from collections.abc import Iterator

from .bench import SHORT_REPEATS, Bench, Row

LINES = 200


def check(bench: Bench) -> None:
    """`check` of a spec with every kind of line, where nothing is asked of a network."""
    root, spec = bench.folder / "check", bench.spec("long", text())
    start, label = "envspec --version", f"envspec check, {LINES} lines"
    work = {
        start: lambda: bench.envspec(root, "--version"),
        label: lambda: bench.envspec(root, "check", spec),
    }
    for contender, samples in bench.turns("check", work, SHORT_REPEATS).items():
        bench.rows.append(Row("check", contender, samples, "" if contender == start else start))


def text() -> str:
    """A spec of `LINES` lines: selectors, brackets, pip's lines, kernels, comments."""
    head = [
        "# What the group works with",
        "name: long",
        "channels: [conda-forge, bioconda]",
        "platforms: [linux-64, osx-arm64]",
        "dependencies:",
        "  - python 3.12.*",
        "  - jupyterlab >=4,<5",
    ]
    tail = [
        "kernels: [python, r, bash, julia]",
        "site: slurm",
        "launch: {time: 8:00:00, memory: 16G, cpus: 4}",
        "variables:",
        "  OMP_NUM_THREADS: 4",
        "target: {glibc: '2.28', cuda: '12.4'}",
    ]
    pip = [f"      - distribution-{number}[fast] >=1.{number},<2; python_version >= '3.9'" for number in range(40)]
    conda = [*head, *_wishes(LINES - len(head) - len(tail) - len(pip) - 2), "  - pip", "  - pip:"]
    lines = [*conda, *pip, *tail]
    assert len(lines) == LINES, len(lines)
    return "\n".join([*lines, ""])


def _wishes(count: int) -> Iterator[str]:
    """Lines as people write them."""
    for number in range(count):
        yield (
            f"  - package-{number} >=1.{number},<2",
            f"  - conda-forge::package-{number}  # why it is there",
            f"  - sel(linux): package-{number} 1.{number}.*",
            f'  - package-{number}[version=">=2", build="py312*"]',
            f"  - package-{number}=1.{number}=*_0  # [linux]",
        )[number % 5]
