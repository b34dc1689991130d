"""An index of conda-forge's size: the real records of `data/`, multiplied by eighteen.

conda-forge has about half a million records a platform (with noarch). The data has 27,082.
Each record is kept as it is, and beside it come

* two older builds of it (same version, build number and dependencies, another build string and
  an earlier timestamp), so that the solver meets about as many candidates for a name as it
  would at conda-forge, and still finds the same solution;
* five copies of all that under other names, which depend on one another as the originals do,
  so that reading and searching the index cost what they would.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import zstandard

DATA = Path(__file__).parent.parent / "data" / "conda-forge"
SUBDIRS = ("linux-64", "noarch")
OLDER_BUILDS = 2
OTHER_NAMES = 5
DAY = 24 * 60 * 60 * 1000
FORM = "1"
"""Changes whenever this file makes another index of the same data."""


def make(folder: Path) -> tuple[Path, int]:
    """Writes the channel once and gives its path and the number of its records."""
    channel = folder / f"conda-forge-{FORM}"
    count = channel / "count"
    if not count.exists():
        print("multiplying conda-forge's records (once)", file=sys.stderr)
        shutil.rmtree(channel, ignore_errors=True)
        read = {subdir: _read(subdir) for subdir in SUBDIRS}
        names = {record["name"] for records in read.values() for _, _, record in records}
        total = 0
        for subdir, records in read.items():
            (channel / subdir).mkdir(parents=True)
            total += _write(channel / subdir / "repodata.json", subdir, records, names)
        count.write_text(f"{total}\n")
    return channel, int(count.read_text())


def _read(subdir: str) -> list[tuple[str, str, dict]]:
    with zstandard.open(DATA / subdir / "repodata.json.zst") as packed:
        index = json.load(packed)
    return [
        (section, file, record)
        for section in ("packages", "packages.conda")
        for file, record in index[section].items()
    ]


def _write(path: Path, subdir: str, records: list, names: set[str]) -> int:
    sections: dict[str, dict[str, dict]] = {"packages": {}, "packages.conda": {}}
    for section, file, record in records:
        ending = ".conda" if section == "packages.conda" else ".tar.bz2"
        for name_suffix in range(OTHER_NAMES + 1):
            renamed = _renamed(record, name_suffix, names)
            for age in range(OLDER_BUILDS + 1):
                older = _older(renamed, age)
                if name_suffix == age == 0:
                    sections[section][file] = older
                else:
                    stem = f"{older['name']}-{older['version']}-{older['build']}"
                    sections[section][stem + ending] = older
    # Sorted, as real indexes are: some solvers' readers are slow otherwise.
    whole = {
        "info": {"subdir": subdir},
        **{section: dict(sorted(files.items())) for section, files in sections.items()},
        "repodata_version": 1,
    }
    with path.open("w") as out:
        json.dump(whole, out, separators=(",", ":"))
    return sum(len(files) for files in sections.values())


def _renamed(record: dict, suffix: int, names: set[str]) -> dict:
    if suffix == 0:
        return record

    def words(requirements: list[str]) -> Iterator[str]:
        for requirement in requirements:
            name, space, rest = requirement.partition(" ")
            yield f"{name}-w{suffix}{space}{rest}" if name in names else requirement

    renamed = dict(record, name=f"{record['name']}-w{suffix}")
    for key in ("depends", "constrains"):
        if key in record:
            renamed[key] = list(words(record[key]))
    return renamed


def _older(record: dict, age: int) -> dict:
    if age == 0:
        return record
    older = dict(record, build=f"{record['build']}_{age}old")
    if "timestamp" in record:
        older["timestamp"] = record["timestamp"] - age * DAY
    return older
