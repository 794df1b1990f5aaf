"""The files that pages load: read once, named by a hash of their content, so that a browser may keep them for ever.

Owns the manifest and the bytes. Must not know HTTP beyond content types: the door chooses the encoding and answers.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATIC_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_COMPRESSIBLE: Final = frozenset({".css", ".js", ".svg"})


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, plain and (where it pays) gzipped, with an ETag that names the content."""

    file: str
    content_type: str
    body: bytes
    gzipped: bytes | None
    etag: str
    integrity: str


class Assets:
    """The files of one build, by the name templates use (`motcua.css`) and by the file a browser asks for."""

    def __init__(self, folder: Path = STATIC_FOLDER, prefix: str = "/static/") -> None:
        """Read every file of the manifest.

        Raises ValueError when a file is not the one the manifest was written for.
        """
        manifest: dict[str, dict[str, str]] = json.loads((folder / "manifest.json").read_text("utf-8"))
        self._prefix = prefix
        self._by_name = {name: _read(folder, entry["file"], entry["sha384"]) for name, entry in manifest.items()}
        self._by_file = {asset.file: asset for asset in self._by_name.values()}

    def url(self, name: str) -> str:
        """Address of the file a name stands for. Raises KeyError: a template named a file that was not built."""
        return self._prefix + self._by_name[name].file

    def integrity(self, name: str) -> str:
        """Value for the `integrity` attribute (Subresource Integrity). Raises KeyError as `url` does."""
        return self._by_name[name].integrity

    def find(self, file: str) -> Asset | None:
        """Return the file of exactly this name (without the prefix), or None; no path is ever looked up on disk."""
        return self._by_file.get(file)


def _read(folder: Path, file: str, sha384: str) -> Asset:
    body = (folder / file).read_bytes()
    if base64.b64encode(hashlib.sha384(body).digest()).decode() != sha384:
        message = f"{file} is not the file its manifest names: run make assets"
        raise ValueError(message)
    suffix = Path(file).suffix
    return Asset(
        file=file,
        content_type=_TYPES[suffix],
        body=body,
        gzipped=gzip.compress(body, 9, mtime=0) if suffix in _COMPRESSIBLE else None,
        etag=f'"{sha384[:24]}"',
        integrity=f"sha384-{sha384}",
    )
