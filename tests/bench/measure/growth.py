"""What a second, a third and a tenth generation add to the disk, nothing of it timed."""

from __future__ import annotations

import sys
from pathlib import Path

from . import pack
from .bench import Bench, Grown, current, packages
from .space import MIB, Survey, added, survey

SPEC = """\
name: growing
channels: [conda-forge]
dependencies:
  - python 3.11.*
  - jupyterlab
  - {}
kernels: [python, r, bash]
"""
CHANGES = [
    {"traitlets": "5.14.3", "nbclient": "0.10.2", "numpy": "2.2.6", "ipywidgets": "8.1.7"},
    {"traitlets": "5.16.1"},
    {"nbclient": "0.11.0"},
    {"numpy": "2.3.5"},
    {"numpy": "2.4.6"},
    {"traitlets": "5.14.3"},
    {"nbclient": "0.10.2"},
    {"traitlets": "5.16.1"},
    {"numpy": "2.3.5"},
    {"ipywidgets": "8.1.9"},
]
"""The first generation, and what each further one changes: no two are the same, and the second,
third and tenth bring a package that no earlier one had."""
SHOWN = (1, 2, 3, 10)


def growth(bench: Bench) -> None:
    """Ten generations, one package at a time; root, or prefix and cache, counted as a whole."""
    root, home = bench.folder / "growth", bench.folder / "growth-peers"
    home.mkdir()
    cache, wanted, last = home / "cache", {}, None
    for number, changed in enumerate(CHANGES, 1):
        print(f"growth: generation {number} of {len(CHANGES)}", file=sys.stderr)
        wanted |= changed
        text = SPEC.format("\n  - ".join(f"{name} {version}" for name, version in wanted.items()))
        spec, peer = bench.spec("growing", text), home / f"prefix-{number}"
        known, cached = survey(root), survey(cache)
        bench.envspec(root, "apply", spec)
        prefix = current(root, "growing")
        assert prefix != last, "each generation is another"
        bench.peer("install", spec.with_suffix(".lock"), peer, cache)
        if number in SHOWN:
            what = "and ".join(f"{name} {version}" for name, version in changed.items()) if number > 1 else "all"
            label = f"{number}: {what}"
            bench.grown.append(Grown(label, "envspec apply", added(known, survey(root))))
            bench.grown.append(Grown(label, "py-rattler install", added(cached, survey(peer, cache))))
            if last:
                _copies(bench, label, last, prefix, home / f"copy-{number}")
                bench.notes.append(f"Generation {number}: {_parts(known, root, prefix)}.")
            else:
                bench.notes.append(f"Growth begins with {packages(prefix)} packages.")
        last = prefix
    bench.notes.append(
        "Sizes count hard links once: data as the files' lengths, disk as blocks with those of folders, as du counts. "
        "cp -al is of the generation before, so without the changed package; conda-pack's is the unpacked tree "
        "without the archive, and leaves out bytecode that no package brings."
        + ("" if bench.conda_pack else " " + pack.ABSENT)
    )


def _copies(bench: Bench, label: str, last: Path, prefix: Path, copy: Path) -> None:
    """The floor, and a copy that shares nothing."""
    bench.link(last, copy)
    bench.grown.append(Grown(label, "cp -al", added(survey(last), survey(copy))))
    if bench.conda_pack:
        unpacked = copy.with_name(f"{copy.name}-unpacked")
        pack.moved(bench, prefix, unpacked)
        bench.grown.append(Grown(label, pack.CONTENDER, added({}, survey(unpacked))))


def _parts(known: Survey, root: Path, prefix: Path) -> str:
    """Where a generation's own data bytes are."""
    known, words = dict(known), []
    for name, tree in (
        ("the package and its bytecode in the cache", root / "pkgs"),
        ("conda-meta, which names the prefix", prefix / "conda-meta"),
        ("lock, receipt and manifest", prefix / ".envspec"),
        ("other files of the prefix, which hold its path", prefix),
        ("elsewhere in the root", root),
    ):
        found = survey(tree)
        words.append(f"{added(known, found).data / MIB:.2f} MiB {name}")
        known |= found
    return "data of envspec's, " + ", ".join(words)
