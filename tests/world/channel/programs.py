"""Small programs of the distribution that kernels run: Lua and gnuplot."""

from . import debs, elf, package, steps

FILES = {
    "lua5.4": ("bin/lua5.4",),
    "gnuplot-nox": ("bin/gnuplot-nox",),
    "gnuplot-data": ("share/gnuplot",),
}


def build_lua(out, deb, known):
    root = out.parent / "root"
    debs.take(deb, FILES[deb.name], root)
    (root / "bin/lua").symlink_to("lua5.4")
    _write(out, root, "lua", known.depends(elf.relocate(root)), deb)


def build_gnuplot(out, program, data, known):
    root = out.parent / "root"
    debs.take(program, FILES[program.name], root)
    debs.take(data, FILES[data.name], root)
    steps.drop_dangling_links(root)
    (root / "bin/gnuplot").symlink_to("gnuplot-nox")
    _write(out, root, "gnuplot", known.depends(elf.relocate(root)), program, data)


def _write(out, root, name, depends, *parts):
    described = package.Package(name, parts[0].version, debs.build_string(*parts), depends)
    described.summary = f"{name} from {parts[0].origin}"
    package.write(described, root, out)
