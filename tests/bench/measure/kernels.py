"""A kernel's start: as envspec registered it, the same started bare, and behind a shell that activates.

Bare is what its package ships, with the program's path written out and no more of the environment than
the server has. Behind a shell is what wrappers do: activation scripts run before every start.
"""

from __future__ import annotations

import json
from pathlib import Path

from .bench import LARGE, Bench, Row, current
from .bytecode import SOURCE
from .run import Sample, timed

ACTIVATE = """\
export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"
for script in "$1"/etc/conda/activate.d/*.sh; do [ -e "$script" ] && . "$script"; done
shift
exec "$@"
"""
ROUNDS = 6
"""For each round of the bench: single starts in turn, for differences of some hundredths."""


def kernels(bench: Bench) -> None:
    """From the start of the process to the first reply, for kernels in Python and R."""
    root = bench.folder / "kernels"
    bench.envspec(root, "apply", bench.spec("large", LARGE))
    prefix = current(root, "large")
    folder = bench.folder / "home" / root.name / ".local/share/jupyter/kernels"

    def reply(kernel: str) -> Sample:
        words = [prefix / "bin/python", SOURCE, kernel]
        return bench.told(timed(words, bench.environment(root.name), bench.folder))

    for kernel in ("python", "r"):
        registered = f"large-{kernel}"
        document = json.loads((folder / registered / "kernel.json").read_text())
        argv = document["argv"]
        _write(folder / "bare", argv, document)
        _write(folder / "shell", ["/bin/bash", "-c", ACTIVATE, "bash", str(prefix), *argv], document)
        work = {
            "bare": lambda: reply("bare"),
            "as envspec registers it": lambda name=registered: reply(name),
            "behind a shell that activates": lambda: reply("shell"),
        }
        # Once unmeasured: files come from memory for all.
        for once in work.values():
            once()
        discipline = f"{kernel} kernel to first reply"
        for contender, samples in bench.turns(discipline, work, rounds=ROUNDS).items():
            bench.rows.append(Row(discipline, contender, samples, "" if contender == "bare" else "bare"))
    bench.notes.append(
        "Kernels: bare has the program's path and the server's environment; the shell runs the scripts of "
        "`activate.d` and becomes the kernel."
    )


def _write(folder: Path, argv: list[str], document: dict[str, object]) -> None:
    """The same kernel without what activation sets, and without envspec's mark."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: document[name] for name in ("interrupt_mode", "language") if name in document}
    (folder / "kernel.json").write_text(json.dumps({**kept, "argv": argv, "display_name": folder.name}))
