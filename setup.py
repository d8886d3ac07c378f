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
UNIX_FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
C_FLAGS, OPENMP = ([], ["/openmp"]) if sys.platform == "win32" else (UNIX_FLAGS, ["-fopenmp"])


class BuildExt(build_ext):
    """Adds OpenMP to the Cython loops where the compiler has it; without it they run on one thread."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()  # extensions are compiled side by side

    def build_extensions(self):
        if self._has_openmp():
            for extension in self.extensions:
                extension.extra_compile_args += OPENMP
                extension.extra_link_args += [] if sys.platform == "win32" else OPENMP
        super().build_extensions()

    def _has_openmp(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=OPENMP)
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=OPENMP)
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
