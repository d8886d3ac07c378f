"""Shows that every instruction set computes the same bits, also those that this processor lacks.

    python tests/conformance/run.py [folder]

builds conformance.c with each compiler and for each processor that can be had here, real or emulated, and compares the
hashes that the programs print. Emulated are AVX-512, by the header-only library SIMDe on top of AVX2 and FMA, and
AArch64 with NEON, by qemu; and glibc is told to do without FMA, so that fma() of baseline C is in software. In a folder
of your own the programs stay: given any argument, a program prints the hash after each case.
"""

import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
PRECISIONS = ("32", "64")
WIDTHS = {"avx512": 512, "avx2": 256, "neon": 128}  # bits of a vector

STRICT = ("-std=c11", "-ffp-contract=off", "-fno-math-errno", "-Wno-psabi", f"-I{CSRC}")
AS_SHIPPED = ("-O3",)  # setup.py
AARCH64 = ("-O3", "-static")  # static: qemu then needs no libraries of the other system
SIMDE = ("-O1", f"-I{HERE / 'simde'}", "-mavx2", "-mfma")  # without FMA, SIMDe would round the product first
WITHOUT_FMA = ("env", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2")
FMA_PROBE = """#include <math.h>
int main(void) /* fails if fma(), after an endbr64, begins with a VEX-coded instruction: that of the processor */
{
    const unsigned char *code = (const unsigned char *)(void *)fma;
    return code[code[0] == 0xf3 ? 4 : 0] == 0xc4;
}"""
SIMDE_PROBE = """#include <immintrin.h>
int main(void) { volatile __m256 x = _mm256_set1_ps(1); return _mm256_movemask_ps(_mm256_fmadd_ps(x, x, x)); }"""


@dataclass(frozen=True)
class Build:
    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...]
    isas: tuple[str, ...] = ()  # those of an emulated processor; none: what dispatch.c finds
    emulator: tuple[str, ...] = ()
    probe: str = "int main(void) { return 0; }"


ON_AARCH64 = ("neon", "baseline")
BUILDS = (
    Build("gcc", ("gcc",), AS_SHIPPED),
    Build("clang", ("clang",), AS_SHIPPED),
    Build("gcc, emulated AVX-512", ("gcc",), SIMDE, ("avx512",), probe=SIMDE_PROBE),
    Build("gcc, software fma", ("gcc",), AS_SHIPPED, ("baseline",), WITHOUT_FMA, FMA_PROBE),
    Build("gcc, emulated AArch64", ("aarch64-linux-gnu-gcc",), AARCH64, ON_AARCH64, ("qemu-aarch64",)),
    Build("clang, emulated AArch64", ("clang", "--target=aarch64-linux-gnu"), AARCH64, ON_AARCH64, ("qemu-aarch64",)),
)


@dataclass(frozen=True)
class Line:
    """What conformance.c prints of one kernel."""

    kernel: str
    precision: str
    hash: str
    isa: str
    lanes: str


def call(command):
    """What the command prints; a failure is a RuntimeError with what it had to say."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=1200)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise RuntimeError(f"{Path(command[0]).name}: {said[0] if said else f'exit status {done.returncode}'}")
    return done.stdout


def missing(build):
    """Why the build cannot be had here, or None: its tools, and that they make a program that runs."""
    for tool in (build.command[0], *build.emulator[:1]):
        if not shutil.which(tool):
            return f"no {tool}"
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "probe.c", Path(folder) / "probe"
        source.write_text(build.probe)
        try:
            call([*build.command, *STRICT, *build.flags, source, "-lm", "-o", program])
            call([*build.emulator, program])
        except RuntimeError as error:
            return str(error)
    return None


def lines(build, folder):
    """Build for both precisions in the folder and run: the Lines of all instruction sets."""
    isa_sources = [CSRC / "isa" / f"{isa}_f{precision}.c" for isa in build.isas for precision in PRECISIONS]
    sources = isa_sources or [CSRC / "dispatch.c", *sorted((CSRC / "isa").glob("*.c"))]
    tables = ["-DISAS=" + " ".join(f"T({isa})" for isa in build.isas)] if build.isas else []

    def compile_one(source, name, *options):
        made = Path(folder) / f"{name}.o"
        call([*build.command, *STRICT, *build.flags, *options, "-c", source, "-o", made])
        return made

    def link_and_run(precision):
        program = Path(folder) / f"conformance_f{precision}"
        main_object = compile_one(HERE / "conformance.c", program.name, f"-DPRECISION={precision}", *tables)
        call([*build.command, *build.flags, main_object, *objects, "-lm", "-o", program])
        return [Line(*line.split()) for line in call([*build.emulator, program]).splitlines()]

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: compile_one(source, source.stem), sources))
        return [line for part in pool.map(link_and_run, PRECISIONS) for line in part]


def problems(build, its_lines):
    """In words: an instruction set that did not run, or not in its width."""
    ran = {(line.isa, line.precision) for line in its_lines}
    wanted = {(isa, f"float{precision}") for isa in build.isas or ("baseline",) for precision in PRECISIONS}
    bits = {(line.isa, int(line.lanes) * int(line.precision.removeprefix("float"))) for line in its_lines}
    return [
        *(f"{isa} did not run in {precision}" for isa, precision in sorted(wanted - ran)),
        *(f"{isa} ran {width} bits wide" for isa, width in sorted(bits) if width != WIDTHS.get(isa, width)),
    ]


def differences(lines_of):
    """In words: the kernels that do not have one hash in all lines of {name of build: lines}."""
    who = defaultdict(lambda: defaultdict(list))
    for name, its_lines in lines_of.items():
        for line in its_lines:
            who[line.kernel, line.precision][line.hash].append(f"{line.isa} ({name})")
    return [
        f"{kernel} {precision} differs: " + "; ".join(f"{hash} {', '.join(isas)}" for hash, isas in hashes.items())
        for (kernel, precision), hashes in who.items()
        if len(hashes) > 1
    ]


def main(folder):
    lines_of, wrong = {}, []
    for build in BUILDS:
        if reason := missing(build):
            print(f"skipped {build.name}: {reason}")
            continue
        place = Path(folder) / build.name.replace(", ", "-").replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        lines_of[build.name] = its_lines = lines(build, place)
        wrong += [f"{build.name}: {problem}" for problem in problems(build, its_lines)]
        isas = dict.fromkeys(f"{line.isa} {line.precision}" for line in its_lines)
        print(f"ran {build.name}: {', '.join(isas)}", flush=True)
    wrong += differences(lines_of)
    print("\n".join(wrong) or f"all equal, bit for bit, in {len(lines_of)} builds")
    return 1 if wrong or not lines_of else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1]))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
