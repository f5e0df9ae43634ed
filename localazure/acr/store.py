"""The content of the registries: blobs in files, everything else in memory.

All registries share a blob's file; each repository has a list of its blobs, as the distribution
protocol requires.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20


def now() -> str:
    """The time as ACR writes it: UTC with seven decimals."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}0Z"


@dataclass(slots=True)
class Manifest:
    """A manifest's bytes as they were put."""

    digest: str
    media_type: str
    data: bytes
    document: dict[str, Any]
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)


@dataclass(slots=True)
class Tag:
    """A tag of a manifest."""

    name: str
    digest: str
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)


@dataclass(slots=True)
class Repository:
    """One repository of one registry."""

    name: str
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)

    def find(self, reference: str) -> Manifest | None:
        """The manifest with this tag or digest."""
        tag = self.tags.get(reference)
        return self.manifests.get(tag.digest if tag else reference)

    def tagged(self, digest: str) -> list[str]:
        """The tags of a manifest, sorted."""
        return sorted(tag.name for tag in self.tags.values() if tag.digest == digest)


class Store:
    """All registries' contents. `login` is a login server such as `localhost:5000`."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs" / "sha256"
        self.incoming = directory / "incoming"
        """The folder of unfinished uploads; on the same file system as the blobs."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir()
        self._registries: dict[str, dict[str, Repository]] = {}

    def put_blob(self, source: bytes | Path) -> str:
        """Store a blob; returns its digest."""
        if isinstance(source, Path):
            hasher = hashlib.sha256()
            for chunk in read(source):
                hasher.update(chunk)
            digest = f"sha256:{hasher.hexdigest()}"
        else:
            digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
        if not self.open_blob(digest).exists():
            new = self.new_file()
            if isinstance(source, Path):
                _link_or_copy(source, new)
            else:
                new.write_bytes(source)
            self.adopt(new, digest)
        return digest

    def new_file(self) -> Path:
        """An empty file to write a blob to."""
        handle, name = tempfile.mkstemp(dir=self.incoming)
        os.close(handle)
        return Path(name)

    def adopt(self, file: Path, digest: str) -> None:
        """Move a file of `incoming` whose digest was checked into the store."""
        path = self.open_blob(digest)
        path.parent.mkdir(exist_ok=True)
        file.replace(path)

    def open_blob(self, digest: str) -> Path:
        """The file of a blob. Raises ValueError for an invalid digest."""
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is not a sha256 digest.")
        hex_ = digest.removeprefix("sha256:")
        return self._blobs / hex_[:2] / hex_

    def link_blob(self, login: str, repo: str, digest: str) -> None:
        """Add a blob of the store to a repository. Raises FileNotFoundError."""
        if not self.open_blob(digest).exists():
            raise FileNotFoundError(digest)
        self._make(login, repo).blobs.add(digest)

    def has_blob(self, login: str, repo: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        repository = self.repository(login, repo)
        return repository is not None and digest in repository.blobs

    def delete_blob(self, login: str, repo: str, digest: str) -> bool:
        """Remove a blob from a repository; False if the repository didn't have it."""
        repository = self.repository(login, repo)
        if repository is None or digest not in repository.blobs:
            return False
        repository.blobs.remove(digest)
        return True

    def put_manifest(
        self,
        login: str,
        repo: str,
        data: bytes,
        media_type: str,
        document: dict[str, Any],
        tag: str | None = None,
    ) -> str:
        """Store a manifest without checks (see `manifests.check`); returns its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        repository = self._make(login, repo)
        repository.updated = now()
        if digest in repository.manifests:
            repository.manifests[digest].updated = now()
        else:
            repository.manifests[digest] = Manifest(digest, media_type, data, document)
        if tag:
            self.tag(login, repo, tag, digest)
        return digest

    def get_manifest(self, login: str, repo: str, reference: str) -> tuple[str, str, bytes] | None:
        """(digest, media type, bytes) of a tag or digest."""
        repository = self.repository(login, repo)
        found = repository.find(reference) if repository else None
        return (found.digest, found.media_type, found.data) if found else None

    def delete_manifest(self, login: str, repo: str, digest: str) -> bool:
        """Delete a manifest and its tags; a repository without manifests is removed."""
        repository = self.repository(login, repo)
        if repository is None or repository.manifests.pop(digest, None) is None:
            return False
        for name in repository.tagged(digest):
            del repository.tags[name]
        if not repository.manifests:
            del self._registries[login.lower()][repo]
        return True

    def tag(self, login: str, repo: str, name: str, digest: str) -> None:
        """Point a tag at a manifest."""
        tags = self._make(login, repo).tags
        if name in tags:
            tags[name].digest, tags[name].updated = digest, now()
        else:
            tags[name] = Tag(name, digest)

    def delete_tag(self, login: str, repo: str, name: str) -> bool:
        """Remove a tag, not its manifest; False if it doesn't exist."""
        repository = self.repository(login, repo)
        return repository is not None and repository.tags.pop(name, None) is not None

    def delete_repository(self, login: str, repo: str) -> bool:
        """Remove a repository with its content; False if it doesn't exist."""
        return self._registries.get(login.lower(), {}).pop(repo, None) is not None

    def referrers(self, login: str, repo: str, subject: str) -> list[str]:
        """The digests of the manifests with this `subject`, sorted."""
        repository = self.repository(login, repo)
        return sorted(
            manifest.digest
            for manifest in (repository.manifests.values() if repository else ())
            if (manifest.document.get("subject") or {}).get("digest") == subject
        )

    def tags(self, login: str, repo: str) -> list[str]:
        """The tags of a repository, sorted."""
        repository = self.repository(login, repo)
        return sorted(repository.tags) if repository else []

    def repositories(self, login: str) -> list[str]:
        """The repositories that hold a manifest, sorted."""
        all_ = self._registries.get(login.lower(), {})
        return sorted(name for name, repository in all_.items() if repository.manifests)

    def repository(self, login: str, repo: str) -> Repository | None:
        """A repository; None if it never had any content."""
        return self._registries.get(login.lower(), {}).get(repo)

    def _make(self, login: str, repo: str) -> Repository:
        repositories = self._registries.setdefault(login.lower(), {})
        return repositories.setdefault(repo, Repository(repo))


def _link_or_copy(source: Path, target: Path) -> None:
    """Link or copy a file: a blob never changes, so a hard link replaces a copy."""
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """A file's bytes from `start` up to `end` (exclusive), in chunks."""
    with path.open("rb") as file:
        file.seek(start)
        left = (path.stat().st_size if end is None else end) - start
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
