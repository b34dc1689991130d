"""conda-pack: an archive of a prefix, unpacked elsewhere.

It can't change a package: it moves what somebody else has installed. It stands beside a
second generation because that is how an environment gets to a cluster's other place without
envspec. The archive is not compressed, which is its fastest; `conda-unpack`, which writes
the new path into files, is part of the time. Bytecode whose source a package brings is left out.
"""

from __future__ import annotations

from pathlib import Path

from .bench import Bench
from .run import Sample, timed

SCRIPT = """\
set -e
"$1" --quiet --format tar --prefix "$2" --output "$3.tar"
mkdir "$3"
tar --extract --file "$3.tar" --directory "$3"
"$3/bin/conda-unpack"
"""
CONTENDER = "conda-pack, tar, conda-unpack"
ABSENT = "conda-pack is not installed (see bench.sh): left out."


def moved(bench: Bench, prefix: Path, destination: Path) -> Sample:
    """A copy of the prefix at another path; the archive stays beside it."""
    words = ["sh", "-c", SCRIPT, "sh", bench.conda_pack, prefix, destination]
    return timed(words, bench.environment("conda-pack"), bench.folder)


def aside(bench: Bench, destination: Path) -> None:
    """Copy and archive out of the way."""
    bench.aside(destination)
    bench.aside(destination.with_name(destination.name + ".tar"))
