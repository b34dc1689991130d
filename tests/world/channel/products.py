"""Products: the units that are built and cached on their own, each one or a few packages.

A product's folder is `cache/products/<name>-<key>`; the key covers its inputs and the source of the
modules that build it, so an edit in `r.py` builds R again and nothing else.
"""

import concurrent.futures
import inspect
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import steps


@dataclass(frozen=True)
class Product:
    name: str
    #: Called in another process as `function(out, *arguments)`; writes packages below `out`.
    function: Callable
    arguments: tuple
    #: What the packages are made of, as hashes or values; paths do not belong here.
    inputs: tuple

    @property
    def key(self):
        return steps.digest(*_sources(sys.modules[self.function.__module__]), *self.inputs)


def _sources(module, seen=None):
    """The source of a module of this package and of those that it imports, by name's order."""
    seen = {} if seen is None else seen
    seen[module.__name__] = Path(module.__file__).read_bytes()
    for value in vars(module).values():
        if inspect.ismodule(value) and value.__package__ == __package__ and value.__name__ not in seen:
            _sources(value, seen)
    return [seen[name] for name in sorted(seen)]


def build(products, cache):
    """Builds what the cache lacks, two at a time or more; returns the products' folders."""
    cache.mkdir(parents=True, exist_ok=True)
    folders = [cache / f"{product.name}-{product.key}" for product in products]
    missing = [(product, folder) for product, folder in zip(products, folders) if not folder.exists()]
    steps.say(
        f"{len(products)} products: {len(products) - len(missing)} in the cache, {len(missing)} to build"
    )
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(_build, product, folder): product for product, folder in missing}
        for count, future in enumerate(concurrent.futures.as_completed(running), 1):
            product, seconds = running[future], future.result()
            if seconds > 1 or count % 25 == 0 or count == len(missing):
                steps.say(f"  {count:3}/{len(missing)} {product.name} ({seconds:.1f} s)")
    wanted = set(folders)
    for folder in cache.iterdir():
        if folder not in wanted:
            steps.discard(folder)
    return folders


def _build(product, folder):
    start = time.monotonic()
    try:
        with steps.appearing(folder) as part:
            product.function(part / "out", *product.arguments)
            for work in part.iterdir():
                if work.name != "out":
                    shutil.rmtree(work)
    except Exception as error:
        raise RuntimeError(f"product {product.name}: {error}") from error
    return time.monotonic() - start
