"""Secrets in the clear: everyone with pull access to the image can read its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.expansion import is_expanded
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_GUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_PLAIN_KEY = re.compile(rf"instrumentation_?key[\"']?\s*[=:]\s*[\"']?({_GUID})", re.IGNORECASE)
_NAMES = (
    "(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|authorization"
    "|instrumentation[_-]?key)"
)
_SECRET_NAME = re.compile(rf"{_NAMES}$", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#")
_SECRET_SETTING = re.compile(rf"({_NAMES}[\"']?: *)(?!\$)\S.*", re.IGNORECASE)
# The user part of an address; keys of Azure's connection strings (Event Hubs, Storage), and the
# signature of a signed address.
_IN_TEXT = (
    re.compile(r"//[^/@\s:]+:([^/@\s]+)@"),
    re.compile(r"(?:SharedAccessKey|AccountKey|SharedAccessSignature)=([^;\s]+)", re.IGNORECASE),
    re.compile(r"[?&]sig=([^&\s]+)"),
)
_MASKED = re.compile(r"[*xX.•-]*|<[^>]*>|redacted|masked|removed|hidden", re.IGNORECASE)
"""What stands in place of a secret."""
_ADVICE = (
    "Store the value in an app setting, better as a Key Vault reference, and write ${env:NAME} "
    "with its name."
)


def check_text(source: str, file: str = "") -> Iterator[Problem]:
    """An error for each instrumentation key. Comments are part of the image as well."""
    for number, line in enumerate(source.splitlines(), 1):
        if _PLAIN_KEY.search(line):
            yield Problem(
                number,
                "",
                "this is an instrumentation key in plain text; everyone with pull access to the "
                "image could read it.",
                advice="Write ${env:APPLICATIONINSIGHTS_CONNECTION_STRING} instead: the value is "
                "stored in an app setting.",
                file=file,
            )


def check_values(root: Node) -> Iterator[Problem]:
    """An error for each secret in plain text.

    A warning in processors, where a key that is called `token` is an attribute of the telemetry.
    """
    for path, node, found in _secrets(root):
        name = ".".join(path)
        what = f"'{name}' is" if found == node.text else f"'{name}' has a secret"
        yield Problem.of(
            node,
            path,
            f"{what} in plain text; everyone with pull access to the image could read it.",
            _ADVICE,
            is_error=path[0] != "processors",
        )


def secret_values(root: Node, source: str) -> Iterator[str]:
    """The secrets in plain text of a configuration, which its checks refuse: to be masked."""
    yield from (match[1] for match in _PLAIN_KEY.finditer(source))
    yield from (found for _, _, found in _secrets(root))


def mask_comments(source: str) -> str:
    """The text with `***` in place of what may be secrets in comments: settings that are off."""
    lines = []
    for line in source.split("\n"):
        start = found.start() if (found := _COMMENT.search(line)) else len(line)
        lines.append(line[:start] + _SECRET_SETTING.sub(r"\1***", line[start:]))
    return "\n".join(lines)


def _secrets(root: Node) -> Iterator[tuple[tuple[str, ...], Node, str]]:
    """Each value that is or has a secret: its path, its node and the secret."""
    header_values = {id(node) for node in _header_values(root)}
    for path, node in root.leaves():
        text = node.text or ""
        if not path or is_expanded(text) or node.scalar not in ("string", "int"):
            continue
        named = _SECRET_NAME.search(path[-1]) or id(node) in header_values
        found = next((match[1] for one in _IN_TEXT if (match := one.search(text))), "")
        secret = text if named else found
        if secret and not _MASKED.fullmatch(secret):
            yield path, node, secret


def _header_values(root: Node) -> Iterator[Node]:
    """Values of headers that name a secret: lists of `{key: Authorization, value: …}`.

    (extension/headerssetterextension)
    """
    extensions = root.get("extensions")
    for name, extension in extensions.items if extensions is not None else ():
        headers = extension.get("headers") if name.startswith("headers_setter") else None
        for header in headers.elements if headers is not None else ():
            key, value = header.get("key"), header.get("value")
            if key is not None and value is not None and _SECRET_NAME.search(key.text or ""):
                yield value
