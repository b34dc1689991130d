"""PROJ and GDAL with conda-forge's activation: their data is found through PROJ_DATA and GDAL_DATA.

A kernel that was started without activation finds no data, or that of another version on the machine, and
then gives wrong coordinates: the commonest complaint about kernels that skip activation.
"""

from . import debs, elf, package, steps

#: Without the grids of single countries, which are most of the size.
FILES = {
    "proj-bin": ("bin/cs2cs", "bin/geod", "bin/proj", "bin/projinfo"),
    "gdal-bin": ("bin/gdalinfo", "bin/gdalsrsinfo", "bin/gdal_translate", "bin/ogr2ogr", "bin/ogrinfo"),
    "gdal-data": ("share/gdal",),
    "proj-data": ("share/proj/proj.*", "share/proj/*.json", "share/proj/world", "share/proj/other.extra"),
}

#: What was set before is kept in `_CONDA_SET_…`, as conda-forge's recipes of the whole family do.
PROJ_ACTIVATE = """\
if [ -n "${PROJ_DATA:-}" ]; then
  export _CONDA_SET_PROJ_DATA="$PROJ_DATA"
fi
export PROJ_DATA="$CONDA_PREFIX/share/proj"
if [ -n "${PROJ_NETWORK:-}" ]; then
  export _CONDA_SET_PROJ_NETWORK="$PROJ_NETWORK"
fi
# Grids that are installed need not be asked for.
if [ -f "$CONDA_PREFIX/share/proj/copyright_and_licenses.csv" ]; then
  export PROJ_NETWORK="OFF"
else
  export PROJ_NETWORK="ON"
fi
"""

PROJ_DEACTIVATE = """\
unset PROJ_DATA
unset PROJ_NETWORK
if [ -n "${_CONDA_SET_PROJ_DATA:-}" ]; then
  export PROJ_DATA="$_CONDA_SET_PROJ_DATA"
  unset _CONDA_SET_PROJ_DATA
fi
if [ -n "${_CONDA_SET_PROJ_NETWORK:-}" ]; then
  export PROJ_NETWORK="$_CONDA_SET_PROJ_NETWORK"
  unset _CONDA_SET_PROJ_NETWORK
fi
"""


#: There for bash alone, as conda-forge's is: `[[` is no command of `sh`. GDAL_DRIVER_PATH is set only if
#: somebody made the folder.
GDAL_ACTIVATE = """\
#!/bin/bash
if [[ -n "${GDAL_DATA:-}" ]]; then
  export _CONDA_SET_GDAL_DATA="$GDAL_DATA"
fi
if [[ -n "${GDAL_DRIVER_PATH:-}" ]]; then
  export _CONDA_SET_GDAL_DRIVER_PATH="$GDAL_DRIVER_PATH"
fi
if [[ -d "$CONDA_PREFIX/share/gdal" ]]; then
  export GDAL_DATA="$CONDA_PREFIX/share/gdal"
  export GDAL_DRIVER_PATH="$CONDA_PREFIX/lib/gdalplugins"
fi
if [[ ! -d "$GDAL_DRIVER_PATH" ]]; then
  unset GDAL_DRIVER_PATH
fi
export CPL_ZIP_ENCODING=UTF-8
"""

GDAL_DEACTIVATE = """\
#!/bin/bash
unset GDAL_DATA GDAL_DRIVER_PATH CPL_ZIP_ENCODING
if [[ -n "${_CONDA_SET_GDAL_DATA:-}" ]]; then
  export GDAL_DATA="$_CONDA_SET_GDAL_DATA"
  unset _CONDA_SET_GDAL_DATA
fi
if [[ -n "${_CONDA_SET_GDAL_DRIVER_PATH:-}" ]]; then
  export GDAL_DRIVER_PATH="$_CONDA_SET_GDAL_DRIVER_PATH"
  unset _CONDA_SET_GDAL_DRIVER_PATH
fi
"""


def build_proj(out, program, data, known):
    _build(out, "proj", "proj4", (PROJ_ACTIVATE, PROJ_DEACTIVATE), program, data, known)


def build_gdal(out, program, data, known):
    """`libgdal-core` is where conda-forge has the programs and the activation; `gdal` is for Python."""
    _build(out, "libgdal-core", "libgdal", (GDAL_ACTIVATE, GDAL_DEACTIVATE), program, data, known, "proj")


def _build(out, name, script, texts, program, data, known, *depends):
    root = out.parent / "root"
    debs.take(program, FILES[program.name], root)
    debs.take(data, FILES[data.name], root)
    steps.write(root / f"etc/conda/activate.d/{script}-activate.sh", texts[0])
    steps.write(root / f"etc/conda/deactivate.d/{script}-deactivate.sh", texts[1])
    described = package.Package(name, program.version, debs.build_string(program, data))
    described.depends = known.depends(elf.relocate(root)) + list(depends)
    described.summary, described.license = f"{name} from {program.origin}", "MIT"
    package.write(described, root, out)
