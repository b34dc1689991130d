"""The packages around CPython: `python`, `python_abi` and `tzdata`."""

from . import debs, elf, package, steps


def build(out, folder, version, known):
    """The package `python`."""
    root = out.parent / "root"
    steps.copy(folder / "installed", root)
    minor = ".".join(version.split(".")[:2])
    (root / f"lib/python{minor}/site-packages/README.txt").write_text("Packages of this environment.\n")
    depends = known.depends(elf.relocate(root)) + ["tzdata"]
    described = package.Package(
        name="python",
        version=version,
        build=f"h{folder.name.rsplit('-')[-1][:7]}_0_cpython",
        depends=depends,
        constrains=[f"python_abi {minor}.* *_cp{minor.replace('.', '')}"],
        summary="CPython, compiled from upstream's source as the distribution carries it",
        license="PSF-2.0",
    )
    package.write(described, root, out)


def build_abi(out, minor):
    """`python_abi`: empty, its build string names the ABI that compiled packages ask for."""
    root = out.parent / "root"
    root.mkdir()
    described = package.Package("python_abi", minor, f"0_cp{minor.replace('.', '')}", noarch="generic")
    described.constrains = [f"python {minor}.*"]
    described.summary = "Keeps packages for different ABIs of CPython apart"
    package.write(described, root, out)


def build_tzdata(out, deb):
    """Time zones, which conda-forge has as a package and points CPython's TZPATH at."""
    root = out.parent / "root"
    steps.copy(deb.tree / "usr/share/zoneinfo", root / "share/zoneinfo")
    steps.drop_dangling_links(root)
    described = package.Package("tzdata", deb.version, debs.build_string(deb), noarch="generic")
    described.summary = f"Time zones of {deb.origin}"
    package.write(described, root, out)
