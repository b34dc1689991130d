"""bash, which `bash_kernel` runs."""

from . import debs, elf, package, steps


def build(out, deb, known):
    root = out.parent / "root"
    steps.copy(deb.tree / "usr/bin/bash", root / "bin/bash")
    described = package.Package(
        "bash", deb.version, debs.build_string(deb), known.depends(elf.relocate(root))
    )
    described.summary, described.license = f"bash from {deb.origin}", "GPL-3.0-or-later"
    package.write(described, root, out)
