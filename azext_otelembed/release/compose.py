"""The images that a multi-container site runs, out of its linuxFxVersion. Pure."""

from __future__ import annotations

import base64


def images(encoded: str) -> tuple[str, ...] | None:
    """Every `image` in a base64 document of Docker Compose or Kubernetes, wherever it stands.

    None where they can't be told for certain: what isn't base64 or YAML, what names no image, and
    names with variables in them.
    """
    import yaml

    try:
        text = base64.b64decode(encoded, validate=True).decode()
        todo: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (ValueError, yaml.YAMLError, RecursionError):
        return None
    found: set[str] = set()
    seen: set[int] = set()  # an alias stands for its node as often as it likes, and in itself too
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "image" and isinstance(value, yaml.ScalarNode):
                    found.add(value.value)
                todo.append(value)
    if not found or any("$" in image for image in found):
        return None
    return tuple(sorted(found))
