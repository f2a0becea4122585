"""Raw files of published data sets: looked for in a folder, unpacked or downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from nnmd_graph.files import replacing
from nnmd_graph.progress import track

CHUNK = 2**18
TIMEOUT = 30.0
"""Seconds without an answer before a download counts as failed."""


@dataclass(frozen=True)
class RawFile:
    """A file as its authors published it.

    Args:
        names: names that it may have under the folder, subfolders with "/"; a download gets the
            first one.
        url: where it can be downloaded; None: it has to be fetched by hand.
        checksum: "git:" and the id that git and GitHub give its content, or "md5:", "sha256:" and
            hexadecimal digits; None: the publisher states none.
        archives: published archives that hold it, name to member.
        page: web page or DOI for people.
    """

    names: tuple[str, ...]
    url: str | None = None
    checksum: str | None = None
    archives: Mapping[str, str] = field(default_factory=dict)
    page: str = ""


def find(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of some names that is a file in `root/raw` or `root`."""
    folders = (root / "raw", root)
    return next((f / name for f in folders for name in names if (f / name).is_file()), None)


def obtain(
    file: RawFile, root: Path, *, others: tuple[str, ...] = (), download: bool, progress: bool
) -> Path:
    """Path of a raw file, which is unpacked or downloaded into `root/raw` if necessary.

    Args:
        file: what is wanted.
        root: folder of the data set.
        others: names of converted files that do as well.
        download: whether it may be downloaded.
        progress: show a bar when it takes more than two seconds.

    Raises:
        FileNotFoundError: it is not there and cannot be downloaded; the message says where to get
            it and where to put it.
        ValueError: an archive is damaged, or a download is not what was published.
    """
    found = find(root, file.names)
    if found is not None:
        if file.checksum is not None and not matches(found, file.checksum):
            warnings.warn(
                f"'{found}' differs from the published file ({file.checksum}): results on it do "
                "not compare with those of others",
                stacklevel=2,
            )
        return found
    target = root / "raw" / file.names[0]
    for name, member in file.archives.items():
        archive = find(root, (name,))
        if archive is not None and extract(archive, member, target):
            return target
    converted = find(root, others)
    if converted is not None:
        return converted
    reason = "it has no address for direct download" if download else "downloading is switched off"
    if download and file.url is not None:
        try:
            fetch(file.url, target, checksum=file.checksum, progress=progress)
            return target
        except (OSError, HTTPException) as error:  # of the network, or of the disk
            reason = f"downloading {file.url} failed: {error}"
    packed = "".join(f" or '{name}'" for name in file.archives)
    source = file.page or file.url
    raise FileNotFoundError(
        f"`root`: expected '{file.names[0]}'{packed} in '{root}' or its folder 'raw', got neither, "
        f"and {reason}; get it from {source} and put it there"
    )


def fetch(url: str, path: Path, *, checksum: str | None = None, progress: bool = True) -> None:
    """Download a file; `path` ends as published, or unchanged.

    Raises:
        OSError: no connection, no such file, or no room on the disk.
        ValueError: the content has another checksum.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "nnmd-graph"})
    with _opened_url(request) as answer, replacing(path) as temporary:
        with temporary.open("wb") as f:
            size = int(answer.headers.get("Content-Length") or 0)
            blocks = iter(lambda: answer.read(CHUNK), b"")
            total = -(-size // CHUNK) or None
            for block in track(blocks, f"downloading {path.name}", total=total, enabled=progress):
                f.write(block)
            if size and f.tell() != size:  # a connection that breaks looks like the end
                raise urllib.error.URLError(f"{f.tell()} of {size} bytes came")
        if checksum is not None and not matches(temporary, checksum):
            raise ValueError(
                f"`url`: expected a file with checksum {checksum}, got another from {url}; try "
                "again, or fetch it by hand from its page"
            )


def _opened_url(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()  # an HTTPError is an open connection as well
        raise


def matches(path: Path, checksum: str) -> bool:
    """Tell whether a file has a checksum, see `RawFile`."""
    kind, _, digits = checksum.partition(":")
    if kind == "git":
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(f"blob {path.stat().st_size}\0".encode())
    else:
        digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as f:
        for block in iter(lambda: f.read(CHUNK), b""):
            digest.update(block)
    return digest.hexdigest() == digits


def extract(archive: Path, member: str, target: Path) -> bool:
    """Write one member of a tar or zip archive to `target`; False if it has no such member.

    Only the content is taken from the archive: names in it cannot lead anywhere else.

    Raises:
        ValueError: the archive is damaged.
    """
    try:
        with _opened(archive, member) as source:
            if source is None:
                return False
            with replacing(target) as temporary, temporary.open("wb") as f:
                shutil.copyfileobj(source, f, CHUNK)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; bz2 and gzip report damaged data as OSError without a number
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"`root`: expected a whole archive, got '{archive}', which is damaged ({reason}); "
            "fetch it again"
        ) from error
    return True


@contextlib.contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes] | None]:
    """A member of an archive, None if it is not there or no plain file."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            there = member in packed.namelist()
            with packed.open(member) if there else contextlib.nullcontext() as source:
                yield source
        return
    with tarfile.open(archive) as tar:
        info = next((m for m in tar if m.name.removeprefix("./") == member and m.isfile()), None)
        yield None if info is None else tar.extractfile(info)
