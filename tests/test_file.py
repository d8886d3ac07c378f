"""The file of models and checkpoints: what goes in comes out, whole or not at all, and in later versions too."""

import json
import os

import numpy as np
import pytest

from fastbp import _file

safetensors = pytest.importorskip("safetensors.numpy")

TREE = {
    "numbers": [1, -2, 2**62, 0.1, 1e-320, -0.0, True, None, "a \ud800 \x00 ß"],
    "no numbers": [np.inf, -np.inf, float("nan")],
    "tuples": ((1,), [()], {}),
    "keys": {1: "a", 2.5: "b", False: "c", "d": {"$array": "not one"}},
    "arrays": {"f": np.arange(6.0).reshape(2, 3), "few": [np.zeros((0, 3), np.float32), np.array([7], np.uint32)]},
    "turned": np.arange(6.0).reshape(2, 3).T,
    "of NumPy": [np.float32(0.5), np.int64(3), np.bool_(True)],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.safetensors"


def flat(tree):
    """The tree with types, and arrays as bytes: so that == compares all of it."""
    if isinstance(tree, np.ndarray):
        return "array", tree.dtype.name, tree.shape, tree.tobytes()
    if isinstance(tree, dict):
        return {key: flat(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree), [flat(item) for item in tree]
    return type(tree), repr(tree)


def edit(path, change):
    """Let `change` alter the header of a file, with a checksum that is right."""
    with safetensors.safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["fastbp"])
    arrays = safetensors.load_file(path)
    del header["crc32"]
    change(header)
    header["crc32"] = _file.checksum(header, arrays)
    safetensors.save_file(arrays, path, metadata={"fastbp": json.dumps(header)})


def test_what_goes_in_comes_out(path):
    _file.write(path, "model", TREE)
    expected = TREE | {"of NumPy": [0.5, 3, True]}
    assert flat(_file.read(path, "model")) == flat(expected) == flat(_file.round_trip(TREE))
    assert os.listdir(path.parent) == [path.name]


def test_it_is_a_safetensors_file_with_json(path):
    _file.write(path, "model", TREE)
    arrays = safetensors.load_file(path)
    assert set(arrays) == {"arrays.f", "arrays.few.0", "arrays.few.1", "turned"}
    assert np.array_equal(arrays["turned"], TREE["turned"])
    with safetensors.safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["fastbp"], parse_constant=pytest.fail)  # JSON in the strict sense
    assert header["content"]["tuples"] == {"$tuple": [{"$tuple": [1]}, [{"$tuple": []}], {}]}


def test_the_same_content_makes_the_same_file(path, tmp_path):
    _file.write(path, "model", TREE)
    _file.write(tmp_path / "other", "model", TREE)
    assert path.read_bytes() == (tmp_path / "other").read_bytes()


def test_its_mode_is_that_of_other_files(path):
    before = os.umask(0o027)
    try:
        _file.write(path, "model", TREE)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_has_no_form_is_refused_and_leaves_the_old_file(path):
    _file.write(path, "model", {"a": 1})
    for thing in (object(), 1j, {1, 2}, b"bytes"):
        with pytest.raises(TypeError):
            _file.write(path, "model", {"a": thing})
    assert _file.read(path, "model") == {"a": 1}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_early_leaves_the_old_file(path, monkeypatch, error):
    def interrupted(*_):
        raise error

    _file.write(path, "model", {"a": 1})
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(error):
        _file.write(path, "model", {"a": 2})
    assert _file.read(path, "model") == {"a": 1}
    assert os.listdir(path.parent) == [path.name]


def test_two_write_one_path(path, monkeypatch):
    fsync = os.fsync

    def meanwhile(number):
        monkeypatch.setattr(os, "fsync", fsync)
        _file.write(path, "model", {"a": "second"})
        fsync(number)

    monkeypatch.setattr(os, "fsync", meanwhile)
    _file.write(path, "model", {"a": "first"})
    assert _file.read(path, "model") == {"a": "first"}  # it ended last
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="there a whole path has 260 characters at most")
def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("x" * 255)
    _file.write(path, "model", {"a": 1})
    assert _file.read(path, "model") == {"a": 1}


def test_places_that_are_none(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError) as refused:
        _file.write(missing / "file", "model", TREE)
    assert f"got the path {str(missing / 'file')!r}: there is no directory {str(missing)!r}" in str(refused.value)
    for place in (str(tmp_path), ""):
        with pytest.raises(IsADirectoryError) as refused:
            _file.write(place, "model", TREE)
        assert f"got the path {place!r}, a directory: name a file in it" in str(refused.value)
    with pytest.raises(IsADirectoryError, match="a directory, expected a file that fastbp wrote"):
        _file.read(tmp_path, "model")
    assert os.listdir(tmp_path) == []


# ---- versions


def test_a_later_minor_version_is_read(path):
    _file.write(path, "model", {"a": 1})
    edit(path, lambda header: header.update(version="1.7", fastbp="1.9.0", new=["field"]))
    assert _file.read(path, "model") == {"a": 1}


@pytest.mark.parametrize("version", ["2.0", "2.7", "10.0", "0.1"])
def test_another_major_version_is_refused(path, version):
    _file.write(path, "model", {"a": 1})
    edit(path, lambda header: header.update(version=version, fastbp="8.1.2"))
    with (
        pytest.raises(
            ValueError, match=rf"tree\.safetensors' is no model.* fastbp 8\.1\.2 wrote it in version {version}"
        ),
        _file.named(path, "model"),
    ):
        _file.read(path, "model")


@pytest.mark.parametrize("version", [None, "", "1", "1.", "x.y", 1.0, ["1.0"], "١.0.0", "1.0.0", "-1.0"])
def test_versions_that_are_none(path, version):
    _file.write(path, "model", {"a": 1})
    edit(path, lambda header: header.update(version=version))
    with pytest.raises(ValueError, match="got the version"):
        _file.read(path, "model")


# ---- files that are none


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"$array": "missing"}, r"got '\$array' in the header"),
        ({"$code": "print()"}, r"got '\$code' in the header"),
        ({"$float": "1e999"}, r"got '\$float' in the header"),
        ({"$array": "a", "$float": "nan"}, "in the header"),
        ({"$pairs": [[1]]}, "dictionary update sequence"),
        ({"$pairs": [[[], 1]]}, "unhashable"),
    ],
)
def test_headers_that_are_none(path, content, message):
    _file.write(path, "model", {"a": np.zeros(3)})
    edit(path, lambda header: header.update(content=content))
    with pytest.raises(ValueError, match=rf"tree\.safetensors' is no model.*{message}"), _file.named(path, "model"):
        _file.read(path, "model")


def test_a_header_that_is_too_deep(path):
    safetensors.save_file({}, path, metadata={"fastbp": "[" * 10**5})
    with pytest.raises(ValueError, match=r"is no model.*recursion"), _file.named(path, "model"):
        _file.read(path, "model")


@pytest.mark.parametrize("change", ["content", "array", "dtype", "name"])
def test_the_checksum_covers(path, change):
    _file.write(path, "model", {"alpha": 1e-4, "a": np.arange(4), "b": np.ones(4)})
    whole = path.read_bytes()
    old, new = {
        "content": (b"0.0001", b"0.0002"),
        "array": (np.arange(4).tobytes(), np.arange(4)[::-1].tobytes()),
        "dtype": (b'"I64","shape":[4]', b'"U64","shape":[4]'),
        "name": (b'"b":{"dtype"', b'"c":{"dtype"'),
    }[change]
    assert old in whole
    path.write_bytes(whole.replace(old, new))
    with pytest.raises(ValueError, match="its checksum differs"):
        _file.read(path, "model")
