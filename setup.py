"""Build the two compiled parts: _kernels (all of csrc/) and the Cython loops with OpenMP. Metadata: pyproject.toml."""

import os
import sys
import tempfile
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No contraction: only explicit fma, so that one seed gives one result. No errno: a square root is one instruction.
# Loops begin at a cache line: where they fall by chance, a float64 product takes up to a tenth longer.
C_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-falign-loops=64", "-fvisibility=hidden"]

# What the compiler and the linker need to be told for OpenMP; Apple's clang has the runtime from elsewhere.
OPENMP = (["-Xpreprocessor", "-fopenmp"], ["-lomp"]) if sys.platform == "darwin" else (["-fopenmp"], ["-fopenmp"])

# MinGW's GCC aligns a stack to 16 bytes only (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=54412), too little for the
# moves of whole vectors; linked statically, its runtime need not be on the user's PATH.
MINGW = (["-Wa,-muse-unaligned-vector-move"], ["-static"])


class BuildExt(build_ext):
    """Adds the flags of this compiler, and OpenMP where it has it; without, the Cython loops run on one thread."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()  # extensions are compiled side by side

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            raise SystemExit(
                "fastbp's kernels are written for GCC and Clang, got Microsoft's compiler: install MinGW-w64 and build "
                "with `python setup.py build_ext --compiler=mingw32`, or install a wheel."
            )
        if self.compiler.compiler_type == "mingw32":
            self._add(*MINGW)
        if self._has_openmp():
            self._add(*OPENMP)
        super().build_extensions()

    def _add(self, compile_args, link_args):
        for extension in self.extensions:
            extension.extra_compile_args += compile_args
            extension.extra_link_args += link_args

    def _has_openmp(self):
        to_compile, to_link = OPENMP
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=to_compile)
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=to_link)
            except Exception:  # the compiler's own error class differs from one to another
                return False
        return True


def extension(name, sources=()):
    return Extension(
        f"fastbp.{name}",
        [f"fastbp/{name}.pyx", *sources],
        include_dirs=["csrc", numpy.get_include()],
        depends=glob("csrc/**/*.h", recursive=True),
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=list(C_FLAGS),
    )


setup(
    ext_modules=cythonize(
        [
            extension("_kernels", ["csrc/dispatch.c", *sorted(glob("csrc/isa/*.c"))]),
            extension("_memory"),
            extension("_parameters"),
            extension("_optimizer"),
            extension("_phases"),
            extension("_answer"),
            extension("_team"),
            extension("_passes"),
            extension("_objective"),
            extension("_engine"),
            extension("_predictor"),
            extension("textbook"),
        ],
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True},
    ),
    cmdclass={"build_ext": BuildExt},
)
