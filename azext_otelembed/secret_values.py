"""What of a setting's value is a secret, and the spellings in which a text may hold it. Pure."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator
from contextlib import suppress

SHORTEST = 4
"""Characters; a shorter value isn't masked."""
LONG = 8
"""Characters from which a value is masked inside of words, too."""
SHORTEST_BASE64 = 6
"""Characters of a base64 text that are enough to recognise it."""

_PLAIN_NAMES = re.compile(r"PORT|^WEBSITES?_|^SCM_|^DOCKER_(?!.*PASSWORD)|_(LEVEL|ENV|MODE)$", re.I)
_PLAIN_VALUES = re.compile(
    r"true|false|yes|no|on|off|none|null|undefined|auto|default|enabled|disabled|\d{1,3}"
    r"|production|staging|development|test|testing|local|localhost|https?|http/protobuf|grpc"
    r"|json|text|plain|trace|debug|info|information|notice|warn|warning|error|fatal|critical"
    r"|[*/.:_-]+",
    re.I,
)
_VERSION = re.compile(r"v?\d+(\.\d+)*", re.I)
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|auth|(?:^|_)pat(?:$|_)", re.I)

_REFERENCE = re.compile(r"\s*@Microsoft\.(?:KeyVault|AppConfiguration)\(", re.I)
"""A setting that names where its value is kept, and isn't secret itself."""

_DEPTH = 4
"""How deep values are taken apart: an escaped JSON document inside a line of a key=value list."""
_JSON = re.compile(r'"((?:[^"\\]|\\.|\\\Z)*)(?:"|\Z)(\s*:)?|(?<![\w.])-?\d[\d.]{5,}', re.DOTALL)
"""Strings of a JSON document, with a colon after its keys, and numbers of six digits or more.

A string that isn't ended matches too: so each character is looked at once."""
_USERS = (re.compile(r"//([^\s/?#]*)@"), re.compile(r"//([^\s/@:]+:\S{0,512})@"))
"""The user part of addresses; in the second, a password with a slash in it."""
_SCHEME = re.compile(r"(?:basic|bearer|token|apikey)\s+(\S+)", re.I)
"""The value of an Authorization header."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12,}={0,2}")
_PAIR = re.compile(r"[\"']?([\w.-]+)[\"']?\s*:\s+(.+)")
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
    r"|(?:\\x[0-9a-fA-F]{2})+|\\[\"'/\\bfnrt]|(?:%[0-9a-fA-F]{2})+"
    r"|&(?:#\d{1,8}|#[xX][0-9a-fA-F]{1,8}|amp|lt|gt|quot|apos);"
)
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def secrets_of_setting(name: str, value: str) -> set[str]:
    """The secrets in the value of a setting: the value itself, and those that it is made of.

    These are its lines, the values of key=value lists, the leaves of a JSON document, the user and
    the password of addresses, the credentials of an Authorization header, and the text that base64
    stands for, also where one of them is inside of another. Common values, such
    as switches, levels and ports, are left out: to mask them would hide too much.
    """
    found: set[str] = set()
    pending = [] if _REFERENCE.match(value) else [(name, value, 0)]
    while pending:
        key, text, depth = pending.pop()
        text = text.strip()
        if len(text) < SHORTEST or text in found:
            continue
        if not _is_common(name, text) and not _is_common(key, text):
            found.add(text)
        if depth < _DEPTH:
            pending += [(inner, part, depth + 1) for inner, part in _parts(key, text)]
    return found


def secrets_of_argument(name: str, value: str) -> set[str]:
    """The same for a build argument: a short value only if its name is one of a secret."""
    if _SECRET_NAME.search(name):
        return secrets_of_setting(name, value)
    found = secrets_of_setting(name, value)
    return {one for one in found if len(one) >= LONG and not _VERSION.fullmatch(one)}


def spellings(secret: str) -> set[str]:
    """The secret as a text may hold it once its escapes are resolved (see `unescaped`)."""
    once, _ = unescaped(secret)
    twice, _ = unescaped(once)
    found = {secret, once, twice}
    # In forms, a space is a plus sign.
    return found | {one.replace(" ", "+") for one in found}


def base64_spellings(secret: str) -> set[str]:
    """The base64 text of the secret alone, and its part in that of a longer text around it.

    A longer text can begin one or two bytes into a group of three. Characters that depend on the
    neighbouring bytes are left out (RFC 4648, 4); with the URL-safe alphabet, too (5).
    """
    found: set[str] = set()
    for one in {secret, unescaped(secret)[0]}:
        data = one.encode("utf-8", "surrogatepass")
        found.add(base64.b64encode(data).decode().rstrip("="))
        for before in range(3):
            text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
            whole = (before + len(data)) % 3 == 0
            found.add(text[(0, 2, 3)[before] : None if whole else -1])
    found |= {text.replace("+", "-").replace("/", "_") for text in found}
    return {text for text in found if len(text) >= SHORTEST_BASE64}


def unescaped(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text with its JSON, percent and HTML escapes resolved, and where each character was.

    The positions are empty if there is no escape: then the text is returned as it is.
    """
    if _ESCAPE.search(text) is None:
        return text, []
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    end = 0
    for match in _ESCAPE.finditer(text):
        start = match.start()
        pieces.append(text[end:start])
        places += [(each, each + 1) for each in range(end, start)]
        end = match.end()
        plain = _resolved(match.group())
        pieces.append(plain)
        size, rest = divmod(end - start, max(len(plain), 1))
        if plain.isascii() and rest == 0:
            places += [(each, each + size) for each in range(start, end, size)]
        else:
            places += [(start, end)] * len(plain)
    pieces.append(text[end:])
    places += [(each, each + 1) for each in range(end, len(text))]
    return "".join(pieces), places


def _resolved(escape: str) -> str:
    if escape[0] == "%":
        return binascii.unhexlify(escape.replace("%", "")).decode("utf-8", "replace")
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[1] == "x":
        data = binascii.unhexlify(escape.replace("\\x", ""))
        try:  # as Python and shells print bytes of UTF-8
            return data.decode()
        except ValueError:
            return data.decode("latin-1")
    if escape[1] == "u":
        codes = [int(code, 16) for code in escape.split("\\u")[1:]]
        both = "".join(map(chr, codes)).encode("utf-16", "surrogatepass")
        return both.decode("utf-16", "surrogatepass")
    return _SHORT_ESCAPES.get(escape[1], escape[1])


def _is_common(name: str, value: str) -> bool:
    if _PLAIN_VALUES.fullmatch(value):
        return True
    short = len(value) < LONG and not _SECRET_NAME.search(name)
    return short and _PLAIN_NAMES.search(name) is not None


def _parts(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The parts that a value is made of, each with its name or else that of the whole."""
    lines = text.splitlines()
    if len(lines) > 1:
        yield from ((name, line) for line in lines)
    if "=" in text:
        for part in {*text.split(";"), *re.split(r"[;,&?\s]+", text)} - {text}:
            yield from _pair(part.partition("="), name)
        yield from _pair(text.partition("="), name)
    if len(lines) == 1 and "\\n" in text:  # lines as in JSON, such as those of a private key
        yield name, text.replace("\\r", "").replace("\\n", "\n")
    if len(lines) == 1 and (pair := _PAIR.fullmatch(text)):
        yield pair.group(1), pair.group(2)
    yield from ((name, one) for one in _credentials(text))
    if text[0] in "\"'" and len(text) > 1 and text[-1] == text[0]:
        yield name, text[1:-1]
    if '"' in text:
        yield from _json_leaves(name, text)
    if "//" in text:
        for pattern in _USERS:
            for match in pattern.finditer(text):
                user, _, password = match.group(1).partition(":")
                yield from ((name, user), (name, password))


def _credentials(text: str) -> Iterator[str]:
    """The credentials of an Authorization header, and the text of base64 with its user and password
    (RFC 7617).
    """
    if scheme := _SCHEME.fullmatch(text):
        yield scheme.group(1)
    elif _BASE64.fullmatch(text):
        with suppress(ValueError):
            plain = base64.b64decode(text, validate=True).decode("ascii")
            if plain.isprintable():
                yield from (plain, *plain.split(":", 1))


def _pair(parts: tuple[str, str, str], name: str) -> Iterator[tuple[str, str]]:
    key, equals, value = parts
    if equals and value:
        yield key.strip()[-64:] or name, value.strip().strip("\"'")


def _json_leaves(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The strings and long numbers of a JSON document. (Not parsed: it may be nested deeply.)"""
    key = name
    for match in _JSON.finditer(text):
        quoted, colon = match.groups()
        if quoted is None:
            yield key, match.group()
            continue
        leaf = quoted
        if "\\" in quoted:
            with suppress(ValueError):
                leaf = str(json.loads(f'"{quoted}"', strict=False))
        if colon:
            key = leaf
        else:
            yield key, leaf
