"""NumPy arrays whose last byte, or whose first, stands at a page that nobody may touch: SIGSEGV for who reads on.

Arrays that are made inside ``with guarded("end")`` are such, the engine's own among them, which are NumPy's; the
buffers of an arena then lie apart. It is done by NumPy's exchangeable allocator (PyDataMem_SetHandler).
"""

import ctypes
import mmap
from collections import defaultdict
from contextlib import contextmanager

import numpy as np

from fastbp import _memory

PAGE = mmap.PAGESIZE
NAME = b"guard pages"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

_Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_Realloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("ctx", ctypes.c_void_p),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _Free),
    )


class _Guards:
    """What NumPy calls for the memory of arrays that end (or begin) at a guard page."""

    def __init__(self, edge):
        self.edge = edge
        self.taken, self.free_pages = {}, defaultdict(list)  # {address: bytes of its pages}, {bytes: first addresses}
        self.handler = _Handler(
            NAME, 1, None, _Malloc(self.malloc), _Calloc(self.calloc), _Realloc(self.realloc), _Free(self.free)
        )
        self.capsule = _new_capsule(ctypes.addressof(self.handler), b"mem_handler", None)

    def malloc(self, _, size):
        inner = -(-max(size, 1) // PAGE) * PAGE
        first = self.free_pages[inner].pop() if self.free_pages[inner] else _between_guards(inner)
        address = first + (inner - size if self.edge == "end" else 0)
        self.taken[address] = inner
        return address

    def calloc(self, _, count, size):
        return ctypes.memset(self.malloc(None, count * size), 0, count * size)

    def realloc(self, _, address, size):
        new = self.malloc(None, size)
        if address:
            ctypes.memmove(new, address, min(size, self.taken[address] - (address % PAGE)))
            self.free(None, address, 0)
        return new

    def free(self, _, address, size):
        if address:
            self.free_pages[self.taken.pop(address)].append(address // PAGE * PAGE)


def _between_guards(inner):
    """So many bytes of whole pages, and a page at either end of them that may not be touched."""
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    first = _libc.mmap(None, inner + 2 * PAGE, 0, kind, -1, 0) + PAGE
    if _libc.mprotect(first, inner, access):
        raise MemoryError("no pages to be had.")
    return first


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_api = ctypes.cast(_capsule_pointer(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
_set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_api[304])  # PyDataMem_SetHandler

# They outlive all arrays, which are freed through them.
_GUARDS = {edge: _Guards(edge) for edge in ("end", "beginning")}


@contextmanager
def guarded(edge):
    """Within, every new array has a page at its edge, "end" or "beginning", that may not be touched."""
    before, apart = _set_handler(_GUARDS[edge].capsule), _memory.APART
    _memory.APART = True
    try:
        yield
    finally:
        _set_handler(before)
        _memory.APART = apart


def is_guarded(array):
    return np._core.multiarray.get_handler_name(array) == NAME.decode()
