"""Raw files: found, checked, unpacked, downloaded from a server on this machine."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnmd_graph.data.published.raw_files import RawFile, extract, fetch, find, matches, obtain

CONTENT = b"three atoms\n" * 50_000  # more than one block
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/cut.xyz":
            super().do_GET()
            return
        self.send_response(200)  # a connection that breaks in the middle
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("published")
    (folder / "water.xyz").write_bytes(CONTENT)
    (folder / "empty.xyz").write_bytes(b"")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def get(file: RawFile, root: Path, *others: str, download: bool = True) -> Path:
    return obtain(file, root, others=others, download=download, progress=False)


def test_checksums(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    # `git hash-object`, `md5sum` and `sha256sum` of this file
    assert matches(path, "git:ce013625030ba8dba906f756967f9e9ca394464a")
    assert matches(path, "md5:b1946ac92492d2347c6235b4d2611184")
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert matches(path, f"sha256:{sha256}")
    path.write_bytes(b"Hello\n")
    assert not matches(path, f"sha256:{sha256}")


def test_download_is_whole_and_checked(server: str, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "water.xyz"
    fetch(f"{server}/water.xyz", path, checksum=MD5)
    assert path.read_bytes() == CONTENT
    fetch(f"{server}/empty.xyz", path)
    assert path.read_bytes() == b""


def test_what_is_not_as_published_leaves_nothing(server: str, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "water.xyz"
    with pytest.raises(ValueError, match=r"`url`: expected a file with checksum md5:00.*try again"):
        fetch(f"{server}/water.xyz", path, checksum="md5:00")
    with pytest.raises(OSError, match="1000 of 600000 bytes came"):
        fetch(f"{server}/cut.xyz", path)
    with pytest.raises(OSError, match="404"):
        fetch(f"{server}/nothing.xyz", path)
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_failed_download_keeps_the_old_file(server: str, tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="checksum"):
        fetch(f"{server}/water.xyz", path, checksum="md5:00")
    assert path.read_bytes() == b"old"


def test_where_files_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.xyz").touch()
    names = ("a.xyz", "data/a.xyz")
    assert find(tmp_path, names) == tmp_path / "data" / "a.xyz"
    (tmp_path / "raw" / "a.xyz").touch()
    assert find(tmp_path, names) == tmp_path / "raw" / "a.xyz"
    assert find(tmp_path, ("b.xyz", "data")) is None


def test_obtained_once(server: str, tmp_path: Path) -> None:
    file = RawFile(("set/water.xyz", "water.xyz"), f"{server}/water.xyz", MD5)
    path = get(file, tmp_path)
    assert path == tmp_path / "raw" / "set" / "water.xyz"
    later = RawFile(file.names, f"{server}/gone.xyz", MD5)
    assert get(later, tmp_path) == path


def test_converted_files_come_before_downloads(server: str, tmp_path: Path) -> None:
    file = RawFile(("water.xyz",), f"{server}/water.xyz")
    (tmp_path / "water.extxyz.gz").touch()
    converted = get(file, tmp_path, "water.extxyz", "water.extxyz.gz")
    assert converted == tmp_path / "water.extxyz.gz"
    (tmp_path / "water.xyz").touch()
    assert get(file, tmp_path, "water.extxyz.gz") == tmp_path / "water.xyz"


def test_a_changed_file_is_used_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "water.xyz").write_bytes(b"mine")
    with pytest.warns(UserWarning, match=r"water.xyz' differs from the published file \(md5:"):
        get(RawFile(("water.xyz",), checksum=MD5), tmp_path)


def test_missing_files_say_where_to_get_them(server: str, tmp_path: Path) -> None:
    file = RawFile(
        ("water.xyz",),
        f"{server}/nothing.xyz",
        archives={"all.zip": "water.xyz"},
        page="https://example.org/water",
    )
    with pytest.raises(
        FileNotFoundError, match=r"`root`: expected 'water.xyz' or 'all.zip' in"
    ) as e:
        get(file, tmp_path)
    assert "404" in str(e.value)
    assert "get it from https://example.org/water and put it there" in str(e.value)
    with pytest.raises(FileNotFoundError, match="downloading is switched off"):
        get(file, tmp_path, download=False)
    with pytest.raises(FileNotFoundError, match="no address for direct download"):
        get(RawFile(("water.xyz",), page="https://example.org"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def make_archive(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:]}") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.tar.bz2"])
def test_archives(name: str, tmp_path: Path) -> None:
    make_archive(tmp_path / name, {"set/other": b"1", "set/water.xyz": CONTENT})
    file = RawFile(("water.xyz",), archives={name: "set/water.xyz"})
    path = get(file, tmp_path)
    assert (path, path.read_bytes()) == (tmp_path / "raw" / "water.xyz", CONTENT)
    assert not extract(tmp_path / name, "set/nothing", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.tar.bz2"])
@pytest.mark.parametrize("length", [0, 30, 200])
def test_damaged_archives(name: str, length: int, tmp_path: Path) -> None:
    make_archive(tmp_path / name, {"water.xyz": bytes(hashlib.sha256(b"0").digest()) * 1000})
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
    with pytest.raises(ValueError, match="`root`: expected a whole archive, got.*fetch it again"):
        extract(tmp_path / name, "water.xyz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_archives_cannot_write_elsewhere(tmp_path: Path) -> None:
    """Names and links in an archive have no effect: only the content of one member is used."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("water.xyz")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
        outside = tarfile.TarInfo("../outside")
        outside.size = 3
        tar.addfile(outside, io.BytesIO(b"abc"))
    assert not extract(archive, "water.xyz", tmp_path / "box" / "water.xyz")
    assert extract(archive, "../outside", tmp_path / "box" / "inside")
    assert (tmp_path / "box" / "inside").read_bytes() == b"abc"
    assert not (tmp_path / "outside").exists()
