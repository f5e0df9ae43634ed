"""Secrets in the clear: everyone with pull access to the image can read its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.expansion import is_expanded
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_GUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
_PLAIN_KEY = re.compile(rf"instrumentation_?key[\"']?\s*[=:]\s*[\"']?{_GUID}", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:password|passwd|secret|token|api_?key|access_?key|authorization)$", re.IGNORECASE
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
    """A warning for each value whose key names a secret."""
    for path, node in root.leaves():
        text = node.text or ""
        if path and _SECRET_NAME.search(path[-1]) and text and not is_expanded(text):
            yield Problem.of(
                node,
                path,
                f"'{'.'.join(path)}' is in plain text in the image; "
                "${env:NAME} reads it from an app setting.",
                is_error=False,
            )
