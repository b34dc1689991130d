"""Julia from an older Debian release, and a small kernel of the world's own.

Debian dropped Julia after version 1.5.3, and no registry that the tests may use carries IJulia. Its
libraries are of the older release and stay in a folder of Julia's own, apart from the prefix's `lib`.
"""

import json
import shutil
from pathlib import Path

from . import activation, debs, elf, package, steps

KERNEL = Path(__file__).parent.parent / "recipes/julia_mini_kernel.jl"

#: Where Debian's Julia looks for its libraries and system image, relative to its binary.
HOME = "lib/x86_64-linux-gnu"

#: Libraries that come from the channel instead: they must be one with those of R and Python.
SHARED = ("libc6", "libgcc-s1", "libstdc++6", "libgfortran5", "libquadmath0")

#: Packages of the closure with nothing that Julia loads.
TOOLS = ("debconf", "dpkg", "gcc-10-base", "perl-base", "tar")

#: What conda-forge's julia sets (julia-feedstock, recipe/scripts/activate.sh): a depot in the prefix, and a
#: project that is named after the last folder of the prefix, which from Julia 1.7 on is one of the depot's.
#: There is no `ssl/cacert.pem` in this channel, as there is on conda-forge, and Julia 1.5 asks for none.
VARIABLES = {
    "JULIA_DEPOT_PATH": "$CONDA_PREFIX/share/julia:${JULIA_DEPOT_PATH:-}",
    "JULIA_PROJECT": "@${CONDA_PREFIX##*/}",
    "JULIA_LOAD_PATH": "@:$JULIA_PROJECT:@stdlib",
    "JULIA_SSL_CA_ROOTS_PATH": "$CONDA_PREFIX/ssl/cacert.pem",
    "CONDA_JL_HOME": "$CONDA_PREFIX",
    "CONDA_JL_CONDA_EXE": "${CONDA_EXE:-}",
    "JULIA_CONDAPKG_BACKEND": "System",
    "JULIA_CONDAPKG_EXE": "${CONDA_EXE:-}",
    "JULIA_PYTHONCALL_EXE": "$(command -v python || true)",
}

ACTIVATE, DEACTIVATE = activation.scripts(VARIABLES, "{}_BACKUP")


def build(out, closure, known):
    root = out.parent / "root"
    for deb in closure.values():
        if deb.name not in SHARED + TOOLS:
            _take(deb, root)
    shutil.rmtree(root / "share/julia/test", ignore_errors=True)
    steps.drop_dangling_links(root)
    steps.write(root / "etc/conda/activate.d/julia_activate.sh", ACTIVATE)
    steps.write(root / "etc/conda/deactivate.d/julia_deactivate.sh", DEACTIVATE)
    own = {path.name for path in root.rglob("*.so*")}
    needed = elf.relocate(root, (HOME, f"{HOME}/julia", "lib"))
    julia = closure["julia"]
    described = package.Package("julia", julia.version, debs.build_string(*closure.values()))
    described.depends = known.depends(needed, own)
    described.summary, described.license = f"Julia from {julia.origin}", "MIT"
    package.write(described, root, out)


def _take(deb, root):
    moves = {
        "usr/bin/julia": "bin/julia",
        f"{debs.MULTIARCH}/julia": f"{HOME}/julia",
        "usr/share/julia": "share/julia",
        "etc/julia": "etc/julia",
    }
    for source, target in moves.items():
        if (deb.tree / source).exists():
            steps.copy(deb.tree / source, root / target)
    for path in (deb.tree / debs.MULTIARCH).glob("*.so*"):
        steps.copy(path, root / HOME / path.name)


def build_kernel(out):
    """`julia-mini-kernel`: one file of Julia and a kernelspec that names it."""
    root = out.parent / "root"
    folder = root / "share/jupyter/kernels/julia-mini"
    steps.copy(KERNEL, folder / "kernel.jl")
    spec = {
        "argv": [
            "julia",
            "--startup-file=no",
            f"{package.PLACEHOLDER}/share/jupyter/kernels/julia-mini/kernel.jl",
            "{connection_file}",
        ],
        "display_name": "Julia (small test kernel)",
        "interrupt_mode": "signal",
        "language": "julia",
    }
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n")
    described = package.Package(
        "julia-mini-kernel", "0.1", "0", ["julia >=1.5", "zeromq >=4"], noarch="generic"
    )
    described.summary = "A small Jupyter kernel in Julia for tests of envspec; it is not IJulia"
    package.write(described, root, out)
