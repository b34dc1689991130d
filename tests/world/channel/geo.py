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

#: What conda-forge's proj does (proj.4-feedstock, recipe/scripts/activate.sh). What was set before is kept in
#: `_CONDA_SET_…`, as all recipes of the family do; PROJ_NETWORK alone is not.
PROJ_ACTIVATE = """\
[ -z "${PROJ_DATA:-}" ] || export _CONDA_SET_PROJ_DATA="$PROJ_DATA"
[ ! -d "$CONDA_PREFIX/share/proj" ] || export PROJ_DATA="$CONDA_PREFIX/share/proj"
# Grids that are installed need not be asked for.
PROJ_NETWORK=ON
[ ! -f "$CONDA_PREFIX/share/proj/copyright_and_licenses.csv" ] || PROJ_NETWORK=OFF
export PROJ_NETWORK
"""

PROJ_DEACTIVATE = """\
unset PROJ_DATA PROJ_NETWORK
if [ -n "${_CONDA_SET_PROJ_DATA:-}" ]; then
  export PROJ_DATA="$_CONDA_SET_PROJ_DATA"
  unset _CONDA_SET_PROJ_DATA
fi
"""

#: What conda-forge's libgdal-core does (gdal-feedstock, recipe/scripts/activate.sh). It is there for bash alone, as
#: conda-forge's was until some years ago: `[[` is no command of `sh`. GDAL_DRIVER_PATH is set only if somebody
#: made the folder.
GDAL_ACTIVATE = """\
#!/bin/bash
[[ -z "${GDAL_DATA:-}" ]] || export _CONDA_SET_GDAL_DATA="$GDAL_DATA"
[[ -z "${GDAL_DRIVER_PATH:-}" ]] || export _CONDA_SET_GDAL_DRIVER_PATH="$GDAL_DRIVER_PATH"
if [[ -d "$CONDA_PREFIX/share/gdal" ]]; then
  export GDAL_DATA="$CONDA_PREFIX/share/gdal"
  export GDAL_DRIVER_PATH="$CONDA_PREFIX/lib/gdalplugins"
fi
[[ -d "${GDAL_DRIVER_PATH:-}" ]] || unset GDAL_DRIVER_PATH
export CPL_ZIP_ENCODING=UTF-8
"""

GDAL_DEACTIVATE = """\
#!/bin/bash
unset CPL_ZIP_ENCODING
for name in GDAL_DATA GDAL_DRIVER_PATH; do
  old="_CONDA_SET_$name"
  unset "$name"
  if [[ -n "${!old:-}" ]]; then
    export "$name=${!old}"
    unset "$old"
  fi
done
unset name old
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
