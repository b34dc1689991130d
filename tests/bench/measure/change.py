"""A second generation that differs from the first in one package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from . import pack
from .bench import LARGE, Bench, Row, current, packages
from .run import Sample
from .space import MIB, added, survey

PACKAGE = "traitlets"
OLD, NEW = "5.14.3", "5.16.1"
"""Both in the channel, and everything else of the environment takes either."""


def change(bench: Bench) -> None:
    """All packages but the changed one are cached; that one comes from its archive."""
    root = bench.folder / "change"
    before, after = (_spec(bench, name, version) for name, version in (("old", OLD), ("new", NEW)))
    bench.envspec(root, "apply", before)
    first = current(root, "change")
    bench.envspec(root, "apply", after)
    second = current(root, "change")
    locks = before.with_suffix(".lock"), after.with_suffix(".lock")
    assert len(_listed(locks[0]) ^ _listed(locks[1])) == 2, "one package differs, so one line of each lock"
    archive = next(path for path in _listed(locks[1]) if path.name.startswith(f"{PACKAGE}-"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def only_first() -> None:
        """The state before: the new package is in no cache, and its generation not there."""
        bench.envspec(root, "rollback", "change", first.name)
        bench.aside(second)
        for tree in [*(root / "pkgs").glob(f"{PACKAGE}-{NEW}-*"), *(root / "pkgs/.bytecode").glob(f"*/{digest}")]:
            bench.aside(tree)

    def envspec() -> Sample:
        only_first()
        return bench.envspec(root, "apply", after)

    peer, cache = bench.folder / "change-peer", bench.folder / "change-cache"
    bench.peer("install", locks[0], bench.folder / "change-peer-first", cache)

    def not_cached() -> None:
        bench.aside(peer)
        for tree in cache.glob(f"{PACKAGE}-{NEW}-*"):
            bench.aside(tree)

    def py_rattler() -> Sample:
        not_cached()
        return bench.peer("install", locks[1], peer, cache)

    floor = bench.folder / "change-floor"

    def cp() -> Sample:
        bench.aside(floor)
        return bench.link(first, floor)

    unpacked = bench.folder / "change-unpacked"

    def conda_pack() -> Sample:
        pack.aside(bench, unpacked)
        return pack.moved(bench, second, unpacked)

    work = {"envspec apply": envspec, "py-rattler install": py_rattler, "cp -al": cp}
    if bench.conda_pack:
        work[pack.CONTENDER] = conda_pack
    discipline = f"change 1 of {packages(first)}"
    results = bench.turns(discipline, work)

    # The sizes are those of one more run each, for both caches have the package by now.
    only_first()
    known = survey(root)
    bench.envspec(root, "apply", after)
    results["envspec apply"].size = added(known, survey(root))
    not_cached()
    known = survey(cache)
    bench.peer("install", locks[1], peer, cache)
    results["py-rattler install"].size = added(known, survey(peer, cache))
    results["cp -al"].size = added(survey(first), survey(floor))
    if bench.conda_pack:
        results[pack.CONTENDER].size = added({}, survey(unpacked))
    else:
        bench.notes.append(pack.ABSENT)
    for contender, samples in results.items():
        bench.rows.append(Row(discipline, contender, samples, "" if contender == "cp -al" else "cp -al"))
    bench.notes.append(
        f"Changed: {PACKAGE} {OLD} to {NEW}, taken from its archive ({archive.stat().st_size / MIB:.2f} MiB); "
        "locks are there. py-rattler makes a new prefix too, without bytecode. "
        "conda-pack can't change a package: it moves the changed generation to another path."
    )


def _spec(bench: Bench, name: str, version: str) -> Path:
    text = LARGE.replace("name: large", "name: change")
    return bench.spec(f"change-{name}", text.replace("  - jupyterlab\n", f"  - jupyterlab\n  - {PACKAGE} {version}\n"))


def _listed(lock: Path) -> set[Path]:
    """The archives of a lock."""
    lines = lock.read_text().splitlines()
    return {Path(line.removeprefix("- conda: ")) for line in lines if line.startswith("- conda: ")}
