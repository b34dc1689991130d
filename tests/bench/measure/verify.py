"""A generation compared with what was installed, beside reading the same bytes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .bench import LARGE, Bench, Row, current, packages
from .run import Sample, timed

GB = 10**9


def verify(bench: Bench) -> None:
    """Every file's SHA-256 on all cores; the files are in the page cache, if it has room for them."""
    root = bench.folder / "verify"
    bench.envspec(root, "apply", bench.spec("large", LARGE))
    prefix = current(root, "large")

    def sums(*words: str) -> Sample:
        """The files' sums by a program, as many of them at work as there are cores."""
        script = f'find "$0" -type f -print0 | xargs -0 -n 256 -P {os.cpu_count()} "$@"'
        return timed(["sh", "-c", script, prefix, *words], bench.environment("sums"), bench.folder)

    work = {
        "envspec verify": lambda: bench.envspec(root, "verify", "large", "--json"),
        "sha256sum, xargs -P": lambda: sums("sha256sum"),
    }
    if shutil.which("openssl"):
        work["openssl, xargs -P"] = lambda: sums("openssl", "dgst", "-sha256")
    # One of each unmeasured: afterwards all find the same page cache.
    for once in work.values():
        once()
    work["envspec verify"]()
    said = (bench.folder / "last.log").read_text()
    told = {key: int(re.search(rf'"{key}": ?(\d+)', said)[1]) for key in ("files", "bytes")}
    results = bench.turns("verify", work)
    for contender, samples in results.items():
        bench.rows.append(Row("verify", contender, samples, "" if contender.startswith("sha") else "sha256sum, xargs -P"))
    files = _files(prefix)
    size = sum(path.stat().st_size for path in files)
    speeds = ", ".join(
        f"{contender} {samples.wall() / (told['bytes'] if contender.startswith('envspec') else size) * GB:.2f}"
        for contender, samples in results.items()
    )
    bench.notes.append(
        f"Verify: seconds per GB: {speeds}. envspec looks into {told['files']:,} files with "
        f"{told['bytes'] / GB:.3f} GB of {packages(prefix)} packages, the others read {len(files):,} with {size / GB:.3f} GB; "
        "all from memory, not from the disk. py-rattler and conda-pack have nothing that does this."
    )


def _files(prefix: Path) -> list[Path]:
    """The regular files, as `find -type f` sees them."""
    paths = (Path(folder) / name for folder, _, names in os.walk(prefix) for name in names)
    return [path for path in paths if not path.is_symlink()]
