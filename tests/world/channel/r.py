"""R and its packages from Debian's, in conda-forge's layout: R's home is `lib/R`.

R is a shell script that names its home in text, so a text placeholder is enough to move it.
"""

import json
import re
import shutil
from pathlib import Path

from . import debs, elf, package, steps

#: Debian's folders and where they go, longest first.
FOLDERS = [
    (rb"/usr/local/lib/R/site-library/?", "/lib/R/library"),
    (rb"/usr/lib/R/site-library", "/lib/R/library"),
    (rb"\$\{R_HOME\}/lib:/usr/lib/[a-z0-9_]+-linux-gnu", None),
    (rb"/usr/share/R/", "/lib/R/"),
    (rb"/etc/R/", "/lib/R/etc/"),
    (rb"/usr/lib/R\b", "/lib/R"),
    (rb"/usr/bin/R\b", "/bin/R"),
]

#: R's script looks for a home in /usr/lib64 when its own is in /usr/lib; in a prefix both are one.
LIB64_TEST = 'if test "${R_HOME_DIR}" = "%s/lib/R"; then' % package.PLACEHOLDER

#: The script that conda-forge's package puts around the binary; the binary alone knows Debian's home.
RSCRIPT = f"""\
#!/bin/sh
RHOME={package.PLACEHOLDER}/lib/R
export RHOME
exec "$RHOME/bin/Rscript" "$@"
"""

#: Debian's libfontconfig reads /etc/fonts, which a compute node may not have: R's plots bring theirs.
RENVIRON_FONTS = f"""
FONTCONFIG_FILE=${{FONTCONFIG_FILE-{package.PLACEHOLDER}/etc/fonts/fonts.conf}}
"""

FONTS_CONF = f"""\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{package.PLACEHOLDER}/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias binding="same"><family>Helvetica</family><prefer><family>DejaVu Sans</family></prefer></alias>
</fontconfig>
"""

#: What conda-forge's r-base does (r-base-feedstock, recipe/activate-r-base.sh): it asks R to look for Java, which
#: writes what it finds on the machine into files of the package, and tells RStudio which R it is.
#: (Builds of some years ago also unset R_LIBS_USER.)
ACTIVATE = """\
R CMD javareconf >/dev/null 2>&1 || :
if [ -n "${RSTUDIO_WHICH_R+set}" ]; then
  export RSTUDIO_WHICH_R_PREV="$RSTUDIO_WHICH_R"
fi
export RSTUDIO_WHICH_R="$CONDA_PREFIX/bin/R"
"""

#: What was set before is not given back, although it was kept.
DEACTIVATE = "unset RSTUDIO_WHICH_R\n"

#: The libraries' folders in a prefix with R. libR.so is r-base's own and lives in R's home.
OWN = ("libR.so",)
LIBRARIES = ("lib", "lib/R/lib")


def version(deb):
    """Debian appends the date of a snapshot to R's version: 4.2.2.20221110 is 4.2.2."""
    return ".".join(deb.version.split(".")[:3])


def build_base(out, deb, known):
    """`r-base`: the interpreter, the base packages and the recommended way to draw."""
    root = out.parent / "root"
    home = root / "lib/R"
    steps.copy(deb.tree / "usr/lib/R", home)
    for name in ("share", "include", "doc"):
        steps.copy(deb.tree / "usr/share/R" / name, home / name)
    _own_configuration(home / "etc", deb.tree)
    shutil.rmtree(home / "site-library", ignore_errors=True)
    steps.drop_dangling_links(root)
    _move(root)
    script = home / "bin/R"
    script.write_text(script.read_text().replace(LIB64_TEST, "if false; then", 1))
    with open(home / "etc/Renviron", "a") as renviron:
        renviron.write(RENVIRON_FONTS)
    steps.write(root / "bin/Rscript", RSCRIPT, mode=0o755)
    (root / "bin/R").symlink_to("../lib/R/bin/R")
    steps.write(root / "etc/conda/activate.d/activate-r-base.sh", ACTIVATE)
    steps.write(root / "etc/conda/deactivate.d/deactivate-r-base.sh", DEACTIVATE)
    depends = known.depends(elf.relocate(root, LIBRARIES), OWN) + ["bash", "fonts-dejavu"]
    described = package.Package("r-base", version(deb), debs.build_string(deb), depends)
    described.summary, described.license = f"R from {deb.origin}", "GPL-2.0-or-later"
    package.write(described, root, out)


def _own_configuration(etc, tree):
    """R's etc/ is links into /etc/R; Renviron is generated at install from Renviron.ucf."""
    for path in sorted(etc.iterdir()):
        if path.is_symlink():
            source = tree / str(path.readlink()).lstrip("/")
            path.unlink()
            if source.exists():
                shutil.copy(source, path)
    generated = etc / "Renviron.ucf"
    if generated.exists():
        generated.rename(etc / "Renviron")


def _move(root):
    """Writes the placeholder where texts name Debian's folders."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" in data[: package.TEXT_PROBE]:
            continue
        moved = data
        for pattern, target in FOLDERS:
            replacement = "${R_HOME}/lib" if target is None else package.PLACEHOLDER + target
            moved = re.sub(pattern, replacement.encode(), moved)
        if moved != data:
            path.write_bytes(moved)


def build_fonts(out, deb):
    """DejaVu and a configuration that finds it in the prefix."""
    root = out.parent / "root"
    steps.copy(deb.tree / "usr/share/fonts/truetype/dejavu", root / "fonts")
    steps.write(root / "etc/fonts/fonts.conf", FONTS_CONF)
    described = package.Package("fonts-dejavu", deb.version, debs.build_string(deb), noarch="generic")
    described.summary = f"Fonts of {deb.origin}"
    package.write(described, root, out)


def conda_name(deb):
    return "r-" + deb.name.removeprefix("r-cran-")


def build_package(out, deb, others, r_version, known):
    """An R package; `others` are the names of those that the channel has."""
    root = out.parent / "root"
    minor = ".".join(r_version.split(".")[:2])
    steps.copy(deb.tree / "usr/lib/R/site-library", root / "lib/R/library")
    steps.drop_dangling_links(root)
    _move(root)
    compiled = bool(elf.below(root))
    depends = [f"r-base {minor}.*"]
    depends += [f"r-{name.removeprefix('r-cran-')}" for name in deb.depends if name in others]
    if compiled:
        depends += known.depends(elf.relocate(root, LIBRARIES), OWN)
    if deb.name == "r-cran-irkernel":
        _kernelspec(root, deb)
        depends.append("jupyter_client")
    described = package.Package(
        name=conda_name(deb),
        version=deb.version,
        build=debs.build_string(deb, prefix=f"r{minor.replace('.', '')}"),
        depends=sorted(set(depends)),
        noarch=None if compiled else "generic",
        summary=f"R package from {deb.origin}",
    )
    package.write(described, root, out)


def _kernelspec(root, deb):
    """conda-forge's r-irkernel starts a bare `R`, whichever comes first on PATH."""
    folder = root / "share/jupyter/kernels/ir"
    steps.copy(deb.tree / "usr/share/jupyter/kernels/ir", folder)
    spec = json.loads((folder / "kernel.json").read_text())
    spec["argv"][0] = "R"
    steps.write(folder / "kernel.json", json.dumps(spec, indent=1) + "\n")
