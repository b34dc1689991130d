"""gc of one generation, beside deleting a tree of the same hard links."""

from __future__ import annotations

from pathlib import Path

from .bench import LARGE, Bench, Row, current, packages
from .run import Sample, timed
from .space import added, survey


def gc(bench: Bench) -> None:
    """One generation a round; its packages are in use by another, so none of them goes.

    All generations and copies are made before the first is deleted: after deleting,
    making files is slow for a while.
    """
    root = bench.folder / "gc"
    for number in range(bench.rounds + 1):
        bench.envspec(root, "apply", bench.spec("large", f"{LARGE}variables: {{BENCH: '{number}'}}\n"))
    # Back to the state of the other disciplines.
    bench.spec("large", LARGE)
    prefix = current(root, "large")
    copies = [bench.folder / f"gc-copy-{number}" for number in range(bench.rounds)]
    for copy in copies:
        bench.link(prefix, copy)
        _writable(copy)
    keep, doomed = iter(range(bench.rounds - 1, -1, -1)), iter(copies)

    def envspec() -> Sample:
        before = len(_generations(root))
        sample = bench.envspec(root, "gc", "--keep", str(next(keep)))
        assert len(_generations(root)) == before - 1, "one generation goes"
        return sample

    def rm() -> Sample:
        return timed(["rm", "-rf", next(doomed)], bench.environment("floor"), bench.folder)

    freed = added(survey(root / "pkgs"), survey(prefix)).inodes
    discipline = f"gc 1 of {packages(prefix)} packages"
    for contender, samples in bench.turns(discipline, {"envspec gc": envspec, "rm -rf": rm}).items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender == "rm -rf" else "rm -rf"))
    bench.notes.append(
        f"gc frees {freed:,} inodes; it looks at those that stay, too ({bench.rounds} in the first round, 1 in the last). "
        "rm -rf is of a `cp -al` copy and looks at nothing else."
    )


def _generations(root: Path) -> list[Path]:
    return [path for path in (root / "gen").iterdir() if not path.name.startswith(".")]


def _writable(tree: Path) -> None:
    """So that whoever is not root can delete it."""
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(folder.stat().st_mode | 0o700)
