"""Compiles what the lines of the input name: [source, the name for tracebacks, where to].

Prints the name of each file that Python would look for, as importlib says; an empty line for a
source that can't be compiled, such as a template or a test of the parser. An error of the disk
ends it, with the system's number of that error.
"""

import importlib.util
import json
import py_compile
import sys

# Never compared with the source: nobody changes a generation's files.
MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH

for line in sys.stdin:
    source, name, target = json.loads(line)
    try:
        py_compile.compile(source, target, name, doraise=True, invalidation_mode=MODE)
    except (py_compile.PyCompileError, ValueError, RecursionError, MemoryError):
        name = None
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(error.errno or 1)
    print(importlib.util.cache_from_source(name) if name else "", flush=True)
