"""Octave from Debian's package, without its windows: no Qt, no sound.

Debian's binary looks for its functions below /usr unless OCTAVE_HOME names another root. conda-forge's
`octave` sets OCTAVE_HOME at activation as well: a kernel that starts without it finds no function.
"""

import os

from . import activation, debs, elf, package, steps

LIBRARY = "lib/x86_64-linux-gnu/octave"
MODULES = f"{LIBRARY}/*/oct/x86_64-pc-linux-gnu"

#: Compiled functions whose libraries are those of a desktop are left out: fltk, sound, sundials.
FILES = {
    "octave": (
        "bin/octave-cli",
        f"{LIBRARY}/*/liboctave.so.*",
        f"{LIBRARY}/*/liboctinterp.so.*",
        f"{MODULES}/PKG_ADD",
        *(
            f"{MODULES}/{name}.oct"
            for name in "__delaunayn__ __glpk__ __init_gnuplot__ __voronoi__ convhulln fftw gzip".split()
        ),
    ),
    "octave-common": ("share/octave/*/m", "share/octave/*/etc/built-in-docstrings", "share/octave/*/data"),
}

#: What conda-forge's octave sets (octave-feedstock, recipe/scripts/activate.sh).
ACTIVATE, DEACTIVATE = activation.scripts({"OCTAVE_HOME": "$CONDA_PREFIX"}, "{}_CONDA_BACKUP")

#: Its newer builds write the list of packages into the prefix as well, anew at every activation. Octave's own
#: functions are all that is rebuilt here, but it takes its second.
ACTIVATE += 'octave --eval "pkg rebuild -global"\n'


def build(out, program, common, known):
    root = out.parent / "root"
    debs.take(program, FILES["octave"], root)
    debs.take(common, FILES["octave-common"], root)
    (root / "bin/octave").symlink_to("octave-cli")
    _forget_modules(next(root.glob(f"{MODULES}/PKG_ADD")))
    steps.write(root / "etc/conda/activate.d/octave_activate.sh", ACTIVATE)
    steps.write(root / "etc/conda/deactivate.d/octave_deactivate.sh", DEACTIVATE)
    own = {path.name for path in root.glob(f"{LIBRARY}/*/*.so.*")}
    libraries = next(root.glob(f"{LIBRARY}/*/oct")).parent
    needed = elf.relocate(root, ("lib", os.path.relpath(libraries, root)))
    described = package.Package("octave", program.version, debs.build_string(program, common))
    described.depends = known.depends(needed, own)
    described.summary, described.license = f"Octave from {program.origin}", "GPL-3.0-or-later"
    package.write(described, root, out)


def _forget_modules(listing):
    """Octave is told of each compiled function at its start; those that are not here may not be named."""
    present = {path.name for path in listing.parent.glob("*.oct")}
    lines = [
        line
        for line in listing.read_text().splitlines()
        if "fltk" not in line and ('.oct"' not in line or any(f'"{name}"' in line for name in present))
    ]
    listing.write_text("".join(line + "\n" for line in lines))
