"""Compiles the hot path of a load process where a C compiler and Python's headers are at hand; elsewhere its sources run.

One source for both: Cython reads loadtests/NAME.py with the types that loadtests/NAME.pxd gives it.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HOT = sorted(path.stem for path in Path("loadtests").glob("*.pxd"))
FLAGS = ["-O2", "-g0", "-fno-semantic-interposition"]

modules = [
    Extension(f"loadtests.{name}", [f"loadtests/{name}.py"], optional=True, extra_compile_args=FLAGS) for name in HOT
]
setup(
    ext_modules=cythonize(
        modules,
        build_dir="build/cython",
        language_level=3,
        compiler_directives={"annotation_typing": False, "binding": True},
        quiet=True,
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
