"""The secrets that a command knows, and the masking of them in untrusted text.

Code that reads settings, passwords, tokens or signed addresses adds them to the session's
`Secrets`; code that makes a message of a response, a log or a program's output masks it.
"""

from __future__ import annotations

import re
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from azext_otelembed.secret_values import (
    LONG,
    SHORTEST,
    SHORTEST_BASE64,
    base64_spellings,
    secrets_of_argument,
    secrets_of_setting,
    spellings,
    unescaped,
)

LONGEST_WORDS = 500
"""Characters that are shown of a message of a service, a reason or a piece of evidence."""
MAX_LINE = 1 << 16
"""Bytes of a line of a program's output; a longer one is left out: a secret that is cut
in two isn't recognised."""
LEFT_OUT = f"[a line of more than {MAX_LINE} bytes is left out]"
"""What is shown in place of such a line."""

_MASK = "***"
_SIGNATURES = ("sig", "signature", "x-amz-signature", "x-amz-security-token", "x-goog-signature")
_LOOK_ALIKE: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(\s-e\s+\w+=)\S*"), r"\1***"),
    # The value of a Key Vault reference isn't known here.
    (re.compile(r"(InstrumentationKey=)[^;\s\"']+", re.I), r"\1***"),
    # The second part is optional in the pattern: so each character is looked at once.
    (
        re.compile(r"\beyJ[\w-]{8,}(\.[\w.-]{8,})?"),
        lambda found: _MASK if found[1] else found[0],
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/-]{8,}=*", re.I), r"\1***"),
    (re.compile(rf"([?&](?:{'|'.join(_SIGNATURES)})=)[^&\s\"']+", re.I), r"\1***"),
    (re.compile(r"(://[^\s/@:\"']*:)[^\s/@\"']+(?=@)"), r"\1***"),
)
"""Patterns of secrets, whatever their origin; the last is an address with a password."""
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_WORD = re.compile(r"[\w.-]")
_BASE64 = string.ascii_letters + string.digits + "+/-_="
_MOST_BASE64 = 4096
"""Characters of a base64 text that are masked on each side of a secret in it."""
_PIECE = 64
_ESCAPE_LEVELS = 3
"""How often escapes are resolved: JSON inside of JSON inside of an address."""


class Secrets:
    """The secrets of one command. It only grows, and threads may share it.

    A text is searched in time linear in its length, whatever the number of secrets; upper and lower
    case of ASCII letters are not distinguished.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._plain = _Index(SHORTEST)
        self._base64 = _Index(SHORTEST_BASE64)
        self._unindexed: list[str] = []

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)})"

    def add(self, *values: str | None) -> None:
        """Adds passwords, tokens or other values that are secret as a whole."""
        self._add(value for value in values if value and len(value) >= SHORTEST)

    def add_settings(self, settings: Mapping[str, str]) -> None:
        """Adds app settings: see `secrets_of_setting`."""
        for name, value in settings.items():
            if self._is_new(name, value):
                self._add(secrets_of_setting(name, value))

    def add_arguments(self, arguments: Mapping[str, str]) -> None:
        """Adds build arguments: see `secrets_of_argument`."""
        for name, value in arguments.items():
            self._add(secrets_of_argument(name, value))

    def add_address(self, address: str) -> None:
        """Adds an address with a signature: the whole of it, its query and the signature."""
        try:
            query = urlsplit(address).query
        except ValueError:
            query = ""
        signatures = [value for name, value in parse_qsl(query) if name.lower() in _SIGNATURES]
        self.add(address, query, *signatures)

    def mask(self, text: str) -> str:
        """The text with every known secret, and everything that looks like one, masked.

        Escapes of JSON, of addresses and of HTML don't hide a secret, nor does base64.
        """
        with self._lock:
            self._index()
            spans = list(self._spans(text))
        masked = _without(text, spans)
        for pattern, instead in _LOOK_ALIKE:
            masked = pattern.sub(instead, masked)
        return masked

    def mask_lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """The lines, each masked."""
        return tuple(self.mask(line) for line in lines)

    def brief(self, text: str, longest: int = LONGEST_WORDS) -> str:
        """The text masked, and then cut to `longest` characters: a cut secret isn't found."""
        masked = self.mask(text)
        return masked if len(masked) <= longest else f"{masked[:longest]} …"

    def _is_new(self, name: str, value: str) -> bool:
        with self._lock:
            new = (name, value) not in self._seen
            self._seen.add((name, value))
            return new

    def _add(self, values: Iterable[str]) -> None:
        with self._lock:
            for value in values:
                if value not in self._known:
                    self._known.add(value)
                    self._unindexed.append(value)

    def _index(self) -> None:
        for secret in self._unindexed:
            for spelling in spellings(secret):
                self._plain.add(spelling.translate(_LOWER))
            for spelling in base64_spellings(secret):
                self._base64.add(spelling)
        self._unindexed.clear()

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the secrets are in the text, whether escaped or not."""
        view = text
        places: list[tuple[int, int]] = []
        for _ in range(_ESCAPE_LEVELS + 1):
            for start, end in self._found(view):
                yield (places[start][0], places[end - 1][1]) if places else (start, end)
            view, inner = unescaped(view)
            if not inner:
                return
            places = [(places[a][0], places[b - 1][1]) for a, b in inner] if places else inner

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        for start, end in self._plain.find(text.translate(_LOWER)):
            is_word = not _WORD.match(text[start - 1 : start]) and not _WORD.match(text, end)
            if end - start >= LONG or is_word:
                yield start, end
        words = text.rstrip(" .…")
        begun = self._plain.find_begun(words.translate(_LOWER))
        if begun is not None:  # a server has cut its words
            yield begun, len(words)
        for start, end in self._base64.find(text):
            # The rest of the base64 text may hold the secret's first or last bits.
            before = text[max(start - _MOST_BASE64, 0) : start]
            rest = text[end : end + _MOST_BASE64]
            more = len(before) - len(before.rstrip(_BASE64))
            yield start - more, end + len(rest) - len(rest.lstrip(_BASE64))


class _Index:
    """Texts to find in another one, by their first `size` characters; none is shorter.

    A long text is held in pieces, so that a part of it is found as well.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lengths: dict[str, list[int]] = {}
        self._texts: dict[str, set[str]] = {}

    def add(self, text: str) -> None:
        """Adds a text; one that is too short is ignored."""
        last = max(len(text) // _PIECE - 1, 0) * _PIECE
        for start in (*range(0, last, _PIECE), last):
            piece = text[start : len(text) if start == last else start + _PIECE]
            if len(piece) >= self._size:
                key = piece[: self._size]
                lengths = self._lengths.setdefault(key, [])
                if len(piece) not in lengths:
                    lengths.append(len(piece))
                self._texts.setdefault(key, set()).add(piece)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of every occurrence."""
        size, lengths, total = self._size, self._lengths, len(text)
        for start in range(total - size + 1):
            key = text[start : start + size]
            for length in lengths.get(key, ()):
                end = start + length
                if end <= total and text[start:end] in self._texts[key]:
                    yield start, end

    def find_begun(self, text: str) -> int | None:
        """Where the text ends with the beginning of one, of `LONG` characters at least."""
        for start in range(max(len(text) - 2 * _PIECE, 0), len(text) - LONG + 1):
            rest = text[start:]
            if any(one.startswith(rest) for one in self._texts.get(rest[: self._size], ())):
                return start
        return None


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with a mask in place of each span; spans that overlap get one."""
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        if start >= end:
            pieces += [text[end:start], _MASK]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])
