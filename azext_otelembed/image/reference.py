"""Names of images: `registry/repository[:tag][@digest]`, as docker and the OCI spec read them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from azext_otelembed.errors import InvalidImage

_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])"
_REGISTRY = re.compile(rf"{_HOST}(?::[0-9]{{1,5}})?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)

DOCKER_HUB = "docker.io"
_EXAMPLE = "An image is named like `myregistry.azurecr.io/shop:1.0` or `…/shop@sha256:<hex>`."


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of some content, e.g. `sha256:…`. The hex digits are lower-case."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = _HEX_LENGTH.get(self.algorithm)
        if length is None:
            raise InvalidImage(
                f"'{self.algorithm}' is not a supported digest algorithm "
                f"({', '.join(_HEX_LENGTH)})."
            )
        if len(self.hex) != length or not _HEX.fullmatch(self.hex):
            raise InvalidImage(
                f"A {self.algorithm} digest has {length} lower-case hex digits, not '{self.hex}'."
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `algorithm:hex`. Raises InvalidImage."""
        algorithm, colon, digits = text.partition(":")
        if not colon:
            raise InvalidImage(f"'{text}' is not a digest: sha256:<64 hex digits> is expected.")
        return cls(algorithm, digits)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The sha256 digest of `data`."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first 12 hex digits, for messages and tags."""
        return self.hex[:12]

    def check(self, data: bytes, what: str) -> None:
        """Raise InvalidImage unless `data` has this digest. `what` names the content."""
        found = hashlib.new(self.algorithm, data).hexdigest()
        if found != self.hex:
            raise InvalidImage(
                f"{what} should have the digest {self}, "
                f"but its {len(data)} bytes have {self.algorithm}:{found}.",
                "The content was changed or truncated in transfer. Run the same command again; if "
                "it fails again, check the registry.",
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's full name. `registry` is a host with an optional port, in its given spelling.

    A reference may have a tag, a digest, both, or neither (a repository).
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        if not _REGISTRY.fullmatch(self.registry):
            raise InvalidImage(f"'{self.registry}' is not a registry's host name.", _EXAMPLE)
        if not _REPOSITORY.fullmatch(self.repository):
            raise InvalidImage(_repository_message(self.repository), _EXAMPLE)
        if len(self.name) > 255:
            raise InvalidImage(f"'{self.name}' is longer than the 255 characters a name may have.")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise InvalidImage(
                f"'{self.tag}' is not a tag: a tag has up to 128 letters, digits, '_', '.' and "
                "'-', and doesn't start with '.' or '-'."
            )

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as docker does: `nginx` is `docker.io/library/nginx`.

        No tag is added if it has none (see `or_latest`). Raises InvalidImage.
        """
        if not text or text != text.strip():
            raise InvalidImage(f"'{text}' is not an image's name.", _EXAMPLE)
        rest, at, digest = text.partition("@")
        head, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        registry, repository = _split(head + slash + last)
        return cls(
            registry, repository, tag if colon else None, Digest.parse(digest) if at else None
        )

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return f"{self.registry}/{self.repository}"

    def with_tag(self, tag: str) -> Reference:
        """The same repository with another tag, and without the digest of the old one."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        """The same name, pinned to `digest`."""
        return replace(self, digest=digest)

    def or_latest(self) -> Reference:
        """With the tag `latest` if it has neither tag nor digest, as docker does."""
        return self if self.tag or self.digest else replace(self, tag="latest")

    @property
    def selector(self) -> str:
        """The last part of the manifest's path in a registry: digest, else tag, else `latest`."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.name}{tag}{digest}"


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    # Docker's rule: the first part is a host if it has a dot, colon or capital, or is `localhost`.
    if slash and (any(c in ".:[" or c.isupper() for c in first) or first == "localhost"):
        registry = DOCKER_HUB if first == "index.docker.io" else first
        repository = rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry == DOCKER_HUB and "/" not in repository:
        if len(repository) == 64 and _HEX.fullmatch(repository):
            raise InvalidImage(f"'{repository}' is an image id, not a name.", _EXAMPLE)
        repository = f"library/{repository}"
    return registry, repository


def _repository_message(repository: str) -> str:
    if _REPOSITORY.fullmatch(repository.lower()):
        return f"The repository '{repository}' must be in lower case."
    return f"'{repository}' is not a repository's name."


def same_image(one: Reference | str, other: Reference | str) -> bool:
    """Whether two references or spellings name the same image: the host's case doesn't count."""
    return image_key(one) == image_key(other)


def image_key(image: Reference | str) -> str:
    """A text that is equal for all spellings of the same image."""
    host, slash, rest = str(image).partition("/")
    return f"{host.lower()}{slash}{rest}"
