"""`channel.sh --check`: installs environments from the channel and runs what is in them.

The prefixes are below target/world and go away afterwards, unless CHANNEL_KEEP is set.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zstandard

import check_languages
from channel import elf, package
from checking import RUN_CELL, Checks, Environment, install, solve

SPECS = ["python", "jupyterlab", "ipykernel", "r-irkernel", "bash_kernel", "deno", "numpy", "pip"]
JULIA = "julia-mini-kernel"

#: In the channel of both CPythons: the packages that are compiled for the second, and pure ones of both.
NEWER_SPECS = ["python 3.13.*", "jupyterlab", "nbclient", "numpy", "pip"]

#: {kernel: (a cell, what it must print)}
CELLS = {
    "python3": ("import sys, numpy; print(sys.prefix, numpy.arange(4).sum())", "{prefix} 6"),
    "ir": ("cat(R.home(), sum(1:4))", "{prefix}/lib/R 10"),
    "bash": ("x=4; echo $((x * 2)) $BASH", "8 {prefix}/bin/bash"),
    "julia-mini": ("println(sum(1:4)); println(repeat('x', 100_000)[end])", "10\nx"),
}

#: A cell that sleeps is interrupted, must fail, and the kernel must still answer and shut down.
INTERRUPT = """
import sys, time
from jupyter_client.manager import start_new_kernel
name, sleep, after = sys.argv[1:]
kernel, client = start_new_kernel(kernel_name=name)
try:
    asked = client.execute(sleep)
    time.sleep(3)
    started = time.monotonic()
    kernel.interrupt_kernel()
    while True:  # replies to the questions of the start may still be there
        reply = client.get_shell_msg(timeout=20)
        if reply["parent_header"]["msg_id"] == asked:
            break
    seconds = time.monotonic() - started
    assert reply["content"]["status"] == "error", reply["content"]
    reply = client.execute_interactive(after, timeout=20, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    client.shutdown()
    for _ in range(100):
        if not kernel.is_alive():
            break
        time.sleep(0.1)
    assert not kernel.is_alive(), "still alive 10 s after shutdown_request"
    print(f"error reply after {seconds:.1f} s, then answers, then ends")
finally:
    if kernel.is_alive():
        kernel.shutdown_kernel(now=True)
"""

IMPORTS = """
import bz2, ctypes, curses, json, lzma, os, readline, sqlite3, ssl, sys, uuid, zlib, zoneinfo
import numpy, zmq
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
assert ctypes.CDLL(None).getpid() == os.getpid()
assert sys.prefix == os.environ["CONDA_PREFIX"], sys.prefix
assert zoneinfo.TZPATH[0].startswith(sys.prefix), zoneinfo.TZPATH
zoneinfo.ZoneInfo("Europe/Berlin")
flags = open(json.__cached__, "rb").read(8)[4]
assert flags == 1, f"json runs from bytecode with flags {flags}, not hash-based unchecked"
import rpds, debugpy, yaml, psutil, tornado.speedups
mapped = {line.split()[5] for line in open("/proc/self/maps") if ".so" in line}
foreign = {path for path in mapped if not path.startswith(sys.prefix) and os.path.basename(path) not in sys.argv[1:]}
assert not foreign, f"loaded from elsewhere: {sorted(foreign)}"
print(len(mapped), "libraries of the prefix;", ssl.OPENSSL_VERSION, "numpy", numpy.__version__, "zmq", zmq.zmq_version())
"""

PLOT = """
path <- commandArgs(TRUE)[1]
png(path, width = 300, height = 200)
plot(1:10, main = "a title")
invisible(dev.off())
cat(file.size(path))
"""


def check_solve(channel, specs, records):
    records.extend(solve(channel, specs))
    return f"{len(records)} packages"


def check_install(records, prefix, cache):
    install(records, prefix, cache)
    return f"{sum(path.is_file() for path in prefix.rglob('*'))} files"


def check_index(channel):
    """The three forms of the index know the same packages, and those are the files that are there."""
    count = 0
    for subdir in ("linux-64", "noarch"):
        plain = (channel / subdir / "repodata.json").read_bytes()
        packed = (channel / subdir / "repodata.json.zst").read_bytes()
        assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain, (
            f"{subdir}: .zst differs"
        )
        repodata = json.loads(plain)
        records = {**repodata["packages"], **repodata["packages.conda"]}
        files = {
            path.name for path in (channel / subdir).iterdir() if path.name.endswith((".conda", ".tar.bz2"))
        }
        assert files == records.keys(), f"{subdir}: index and files differ: {files ^ records.keys()}"
        assert (channel / subdir / "repodata_shards.msgpack.zst").stat().st_size > 0
        count += len(records)
    return f"{count} packages"


def check_prefixes(prefix, world):
    """No placeholder is left, and no path of the machine that built the packages got in."""
    foreign = str(world / "cache").encode()
    seen = 0
    for path in prefix.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.parent != prefix / "conda-meta":
            data, seen = path.read_bytes(), seen + 1
            assert package.PLACEHOLDER.encode() not in data, f"placeholder in {path}"
            assert foreign not in data, f"the builder's folder in {path}"
    return f"{seen} files"


def system_libraries():
    """The file names of glibc's libraries, the only ones an environment may take from the machine."""
    glibc = subprocess.run(["dpkg", "-L", "libc6"], check=True, capture_output=True, text=True).stdout
    return sorted({Path(line).name for line in glibc.splitlines() if ".so" in line})


def check_libraries(prefix):
    """Every library that the loader finds is of the prefix or of glibc.

    Extension modules in site-packages are left to `imports`: they find libraries by python's DT_RPATH,
    of which ldd knows nothing.
    """
    system = system_libraries()
    files, bad = [path for path in elf.below(prefix) if "site-packages" not in path.parts], []
    for path in files:
        output = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
        for soname, found in re.findall(r"^\s+(\S+) => (.+?)(?: \(0x\w+\))?$", output, re.M):
            inside = os.path.realpath(found).startswith(str(prefix))
            if not inside and Path(soname).name not in system:
                bad.append(f"{path.relative_to(prefix)}: {soname} => {found}")
    assert not bad, f"{len(bad)} libraries from elsewhere:\n" + "\n".join(bad[:20])
    return f"{len(files)} ELF files"


def check_cell(environment, kernel):
    cell, wanted = CELLS[kernel]
    printed = environment.python(RUN_CELL, kernel, cell)
    wanted = wanted.format(prefix=environment.prefix)
    assert printed == wanted, f"printed {printed!r}, not {wanted!r}"
    return printed


def check_kernelspecs(prefix):
    """argv[0] as on conda-forge: absolute for those of Python, a bare `R` for R."""
    first = {
        path.parent.name: json.loads(path.read_text())["argv"][0]
        for path in prefix.glob("share/jupyter/kernels/*/kernel.json")
    }
    python = f"{prefix}/bin/python"
    assert (first["python3"], first["bash"], first["ir"]) == (python, python, "R"), first
    return ", ".join(sorted(first))


def check_plot(environment, folder):
    script = folder / "plot.R"
    script.write_text(PLOT)
    size = int(environment.run("Rscript", script, folder / "plot.png"))
    with open(folder / "plot.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n", "not a PNG"
    assert size > 1500, f"{size} bytes: nothing was drawn"
    return f"{size} bytes of PNG"


def check_activation(environment):
    assert environment.variables["RSTUDIO_WHICH_R"] == f"{environment.prefix}/bin/R"
    return "RSTUDIO_WHICH_R"


def check_conflict(tiny):
    try:
        solve(tiny, ["conflict-a", "conflict-b"])
    except Exception as error:
        assert "shared-lib" in str(error), error
        return "no solution, as it should be"
    raise AssertionError("conflict-a and conflict-b were solved together")


def check_tiny(tiny, folder):
    wanted = [
        "shared-lib",
        "activation-vars",
        "long-prefix",
        "symlink",
        "executable",
        "unicode-name",
        "odd-versions",
        "many-versions 1.*",
        "empty-file",
    ]
    records = solve(tiny, wanted)
    prefix = folder / "tiny"
    install(records, prefix, folder / "pkgs")
    versions = {record.name.normalized: str(record.version) for record in records}
    assert versions["odd-versions"] == "1!2.0" and versions["many-versions"] == "1.4", versions
    binary = (prefix / "share/long-prefix/binary.dat").read_bytes()
    assert binary.startswith(b"BIN\0" + str(prefix).encode() + b"/share/one\0") and binary.endswith(b"END\0")
    assert (prefix / "share/symlink/link.txt").is_symlink() and (
        prefix / "share/symlink/link.txt"
    ).read_text() == "target\n"
    assert os.access(prefix / "bin/executable", os.X_OK)
    assert (prefix / "share/unicode/größe–数据.txt").exists()
    variables = Environment(prefix, folder).variables
    assert variables["ACTIVATION_NEWLINE"] == "first line\nsecond line" and variables[
        "ACTIVATION_DOLLAR"
    ].startswith("$HOME"), variables
    return f"{len(records)} packages"


def main(world):
    checks, start = Checks(), time.monotonic()
    conda_forge, tiny = world / "channels/conda-forge", world / "channels/tiny"
    folder = Path(tempfile.mkdtemp(prefix="check-", dir=world))
    try:
        passed = run(checks, world, conda_forge, tiny, folder)
        passed = run_languages(checks, world, conda_forge, folder) and passed
        passed = run_newer(checks, world, world / "channels/pythons", folder) and passed
    finally:
        if os.environ.get("CHANNEL_KEEP"):
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder)
    passed = checks.table() and passed
    print(
        f"{sum(passed for _, passed, _, _ in checks.rows)} of {len(checks.rows)} checks passed in {time.monotonic() - start:.0f} s"
    )
    return passed


def run(checks, world, conda_forge, tiny, folder):
    checks.run("index of conda-forge", check_index, conda_forge)
    checks.run("index of tiny", check_index, tiny)
    checks.run("tiny: a conflict", check_conflict, tiny)
    checks.run("tiny: install", check_tiny, tiny, folder)
    has_julia = any((conda_forge / "noarch").glob(JULIA + "-*"))
    if not has_julia:
        print("NOTE: the channel has no julia; its checks are not run")
    prefix, records = folder / "env", []
    if not checks.run("solve", check_solve, conda_forge, SPECS + [JULIA] * has_julia, records):
        return False
    if not checks.run("install", check_install, records, prefix, folder / "pkgs"):
        return False
    environment = Environment(prefix, folder)
    checks.run("prefixes", check_prefixes, prefix, world)
    checks.run("libraries", check_libraries, prefix)
    checks.run("activation", check_activation, environment)
    checks.run("kernelspecs", check_kernelspecs, prefix)
    checks.run("pip check", environment.run, "pip", "check")
    checks.run("imports", environment.python, IMPORTS, *system_libraries())
    checks.run("jupyter lab", environment.run, "jupyter", "lab", "--version")
    checks.run("deno", environment.run, "deno", "--version")
    checks.run("R png", check_plot, environment, folder)
    for kernel in CELLS:
        if has_julia or kernel != "julia-mini":
            checks.run(f"cell: {kernel}", check_cell, environment, kernel)
    checks.run(
        "interrupt: python3", environment.python, INTERRUPT, "python3", "import time; time.sleep(60)", "1 + 1"
    )
    if has_julia:
        checks.run("interrupt: julia-mini", environment.python, INTERRUPT, "julia-mini", "sleep(60)", "1 + 1")
    return True


def run_languages(checks, world, conda_forge, folder):
    """A second environment, with every language that the channel has got from the release."""
    kernels = check_languages.present(conda_forge)
    if not kernels:
        print("NOTE: the channel has no octave and none of its kind; their checks are not run")
        return True
    prefix, records = folder / "languages", []
    specs = check_languages.specs(kernels)
    if not checks.run("languages: solve", check_solve, conda_forge, specs, records):
        return False
    if not checks.run("languages: install", check_install, records, prefix, folder / "pkgs"):
        return False
    checks.run("languages: prefixes", check_prefixes, prefix, world)
    checks.run("languages: libraries", check_libraries, prefix)
    check_languages.run(checks, prefix, folder, kernels)
    return True


def run_newer(checks, world, pythons, folder):
    """The second CPython: which the channel `pythons` has beside the first, where its source could be had."""
    if not pythons.is_dir():
        print("NOTE: there is no channel `pythons`; its checks are not run")
        return True
    prefix, records = folder / "newer", []
    checks.run("index of pythons", check_index, pythons)
    if not checks.run("newer: solve", check_solve, pythons, NEWER_SPECS, records):
        return False
    if not checks.run("newer: install", check_install, records, prefix, folder / "pkgs"):
        return False
    environment = Environment(prefix, folder)
    checks.run("newer: prefixes", check_prefixes, prefix, world)
    checks.run("newer: libraries", check_libraries, prefix)
    checks.run("newer: pip check", environment.run, "pip", "check")
    checks.run("newer: imports", environment.python, IMPORTS, *system_libraries())
    checks.run("newer: jupyter lab", environment.run, "jupyter", "lab", "--version")
    return True


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) else 1)
