"""Fetching a published file: from the first mirror that answers, checked, and put in place in one step.

The file is written under a temporary name beside its place and renamed once its checksum is right. So a file that is
there is whole, even after an interrupted download, and two processes that fetch it at once do no harm.
"""
import os

from ..progress import Progress

TIMEOUT = 30  # seconds a mirror may stay silent
_PIECE = 1 << 16


def fetch(urls, path, sha256):
    """Downloads the file `path` from the first of `urls` that has it, with a progress bar on a terminal.

    sha256: its published checksum in hexadecimal; a mirror whose file has another one counts as failed. Raises
    ConnectionError with every mirror's reason when none delivers; nothing is left behind.
    """
    import tempfile
    from http.client import HTTPException

    os.makedirs(os.path.dirname(path), exist_ok=True)
    failures = []
    for url in urls:
        handle, partial = tempfile.mkstemp(prefix=os.path.basename(path) + ".", suffix=".part",
                                           dir=os.path.dirname(path))
        try:
            with open(handle, "wb") as file:
                _copy(url, file, path, sha256)
            os.chmod(partial, 0o666 & ~_umask())  # mkstemp makes it private; a cache may be shared
            os.replace(partial, path)
            return
        except (OSError, HTTPException) as error:  # URLError, timeouts and refused connections are OSError
            failures.append(f"{url}: {error}")
        finally:
            if os.path.exists(partial):
                os.remove(partial)
    raise ConnectionError("; ".join(failures))


def _copy(url, file, path, sha256):
    import hashlib
    from urllib.request import urlopen

    digest = hashlib.sha256()
    name = os.path.basename(path)
    with urlopen(url, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        with Progress(total, f"downloading {name}") as progress:
            done = 0
            while piece := response.read(_PIECE):
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                progress.update(done, f"{done / 1e6:.1f} MB")
    if total and done != total:
        raise ConnectionError(f"the connection closed after {done} of {total} bytes")
    if digest.hexdigest() != sha256:
        raise ConnectionError(f"wrong checksum {digest.hexdigest()}, expected {sha256}")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
