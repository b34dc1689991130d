"""What the checks of the channel share: an environment to run in, a table of what was seen.

Each check is a function that returns what it saw or raises; none is skipped in silence.
"""

import asyncio
import shutil
import subprocess
import time

import rattler

#: Run by the environment's Python: one cell in one kernel.
RUN_CELL = """
import sys, nbformat, nbclient
kernel, cell = sys.argv[1:]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
nbclient.NotebookClient(notebook, kernel_name=kernel, timeout=60).execute()
for output in notebook.cells[0].outputs:
    print(output.get("text") or output.get("data", {}).get("text/plain", ""), end="")
"""


class Environment:
    """A prefix and the commands that run in it as if it were activated in a clean shell."""

    def __init__(self, prefix, home):
        self.prefix = prefix
        # bash, for some scripts of conda-forge are for no other shell.
        clean = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CONDA_PREFIX": str(prefix)}
        clean["CONDA_DEFAULT_ENV"] = prefix.name
        script = 'PATH=$CONDA_PREFIX/bin:$PATH; for f in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$f" >&2; done; env -0'
        done = subprocess.run(
            ["/bin/bash", "-c", script], env=clean, check=True, capture_output=True, text=True
        )
        self.variables = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)

    def run(self, *command, timeout=120):
        command = [
            shutil.which(command[0], path=self.variables["PATH"]) or command[0],
            *map(str, command[1:]),
        ]
        done = subprocess.run(command, env=self.variables, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise AssertionError(f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-600:]}")
        return done.stdout.strip()

    def python(self, code, *arguments):
        return self.run(self.prefix / "bin/python", "-c", code, *arguments)


class Checks:
    def __init__(self):
        self.rows = []

    def run(self, name, function, *arguments):
        start = time.monotonic()
        try:
            seen, passed = function(*arguments), True
        except Exception as error:
            seen, passed = f"{type(error).__name__}: {error}", False
        self.rows.append((name, passed, time.monotonic() - start, str(seen)))
        return passed

    def table(self):
        width = max(len(name) for name, *_ in self.rows)
        for name, passed, seconds, seen in self.rows:
            first, *rest = seen.splitlines() or [""]
            print(f"{name:{width}}  {'ok  ' if passed else 'FAIL'}  {seconds:6.2f} s  {first}")
            for line in rest if not passed else ():
                print(" " * (width + 18) + line)
        return all(passed for _, passed, _, _ in self.rows)


def solve(channel, specs):
    gateway = rattler.Gateway()
    system = rattler.VirtualPackage.detect()
    return asyncio.run(
        rattler.solve(
            [channel.as_uri()],
            specs,
            gateway=gateway,
            platforms=["linux-64", "noarch"],
            virtual_packages=system,
        )
    )


def install(records, prefix, cache):
    asyncio.run(rattler.install(records, prefix, cache_dir=cache, show_progress=False))
