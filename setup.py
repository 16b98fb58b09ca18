"""Compiles the hot path of a load process where a C compiler and Python's headers are at hand; elsewhere its sources run.

One source for both: Cython reads loadtests/NAME.py with the types that loadtests/NAME.pxd gives it.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HOT = sorted(path.stem for path in Path("loadtests").glob("*.pxd"))
FLAGS = ["-O2", "-g0", "-fno-semantic-interposition"]


class AllOrNothing(build_ext):
    """Whatever keeps one module from being compiled (no compiler, no headers, a full disk) keeps nobody from installing: then
    none is, and `loadtests.compiled` takes the sources."""

    def build_extensions(self) -> None:
        try:
            super().build_extensions()
        except Exception as error:
            print(f"the hot path is not compiled: {error}", file=sys.stderr)
            self.extensions = []


setup(
    ext_modules=cythonize(
        [Extension(f"loadtests.{name}", [f"loadtests/{name}.py"], extra_compile_args=FLAGS) for name in HOT],
        build_dir="build/cython",
        language_level=3,
        compiler_directives={"annotation_typing": False, "binding": True},
        quiet=True,
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    cmdclass={"build_ext": AllOrNothing},
)
