"""Secrets in the clear: everyone with pull access to the image can read its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.expansion import defaults, is_expanded
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_GUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_PLAIN_KEY = re.compile(rf"instrumentation_?key[\"']?\s*[=:]\s*[\"']?({_GUID})", re.IGNORECASE)
_NAMES = (
    r"(?:password|passwd|pwd|passphrase|secret|token|authorization|key[_-]?pem|api[_-]?key"
    r"|(?:access|account|agent|app|application|ingest|ingestion|instrumentation|license|private"
    r"|secret|shared|signing|write)[_-]?key)"
)
_SECRET_NAME = re.compile(rf"{_NAMES}$|^tokens$", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#")
_SECRET_SETTING = re.compile(rf"({_NAMES}[\"']?: *)(?!\$)\S.*", re.IGNORECASE)
# Of the datadog exporter, and of the basicauth extension.
_SECRET_PATHS = (("api", "key"), ("htpasswd", "inline"))
# Services name the header of their key in many ways: x-honeycomb-team, signoz-ingestion-key.
_SECRET_HEADER = re.compile(
    r"(?:.key|token|secret|authorization|password|cookie|-auth|-team|-dsn)$", re.IGNORECASE
)
_HEADERS = "headers"
# The user part of an address, or of a MySQL data source; a password, or a key of Azure, in a
# connection string or query; the signature of a signed address; a private key.
_IN_TEXT = (
    re.compile(r"//[^/@\s:]*:([^/\s]+)@"),
    re.compile(r"^[^\s:@/]+:([^\s/]+)@(?:tcp|unix)\("),
    re.compile(r"\b(?:password|passwd|pwd)\s?=\s?([^;&\s\\()\[\]{}*+?]+)", re.IGNORECASE),
    re.compile(r"(?:SharedAccessKey|AccountKey|SharedAccessSignature)=([^;\s]+)", re.IGNORECASE),
    re.compile(r"[?&]sig=([^&\s]+)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----.*)", re.DOTALL),
)
_SHORTEST_LINE = 8
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
    for _, _, found in _secrets(root):
        yield found
        if "\n" in found:  # a private key, whose lines are indented in the source
            yield from (line for line in found.splitlines() if len(line) >= _SHORTEST_LINE)


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
        if not path or node.scalar == "bool":
            continue
        named = (
            _SECRET_NAME.search(path[-1])
            or path[-2:] in _SECRET_PATHS
            or (path[-2:-1] == (_HEADERS,) and _SECRET_HEADER.search(path[-1]))
            or id(node) in header_values
        )
        text = node.text or ""
        for written in defaults(text) if is_expanded(text) else (text,):
            found = next((match[1] for one in _IN_TEXT if (match := one.search(written))), "")
            secret = written if named else found
            if secret and not _MASKED.fullmatch(secret):
                yield path, node, secret


def _header_values(node: Node) -> Iterator[Node]:
    """Values of headers that name a secret: lists of `{key: Authorization, value: …}`.

    (extension/headerssetterextension, whose `default_value` is another; config/configopaque and the
    collector's own telemetry call the key `name`)
    """
    for key, value in node.items:
        for header in value.elements if key == _HEADERS else ():
            name = header.get("key") or header.get("name")
            if name is not None and _SECRET_HEADER.search(name.text or ""):
                given = (header.get(part) for part in ("value", "default_value"))
                yield from (one for one in given if one is not None)
        yield from _header_values(value)
    for element in node.elements:
        yield from _header_values(element)
