"""Run by az's own Python: what az knows of the extension's commands, as JSON on stdout.

Arguments: none. AZURE_EXTENSION_DIR and AZURE_CONFIG_DIR say where to look.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
from typing import Any

import yaml
from azure.cli.core import get_default_cli
from knack.help_files import helps

GROUP = "otelembed"


def main() -> None:
    cli = get_default_cli()
    invoker = cli.invocation_cls(
        cli_ctx=cli,
        parser_cls=cli.parser_cls,
        commands_loader_cls=cli.commands_loader_cls,
        help_cls=cli.help_cls,
    )
    cli.invocation = invoker
    loader = invoker.commands_loader
    loader.load_command_table([GROUP])
    names = sorted(name for name in loader.command_table if name.split()[0] == GROUP)
    for name in names:
        # Arguments apply to the command that is being run: az looks here for its name.
        invoker.data["command_string"] = loader.command_name = name
        loader.load_arguments(name)
    invoker.parser.load_command_table(loader)
    facts = {name: command(invoker.parser, name, loader.command_table[name]) for name in names}
    json.dump({"commands": facts, "group": helps.get(GROUP, "")}, sys.stdout)


def command(parser: Any, name: str, loaded: Any) -> dict[str, Any]:
    document = yaml.safe_load(helps.get(name, "{}"))
    examples = [example["text"] for example in document.get("examples", [])]
    return {
        "summary": document.get("short-summary", ""),
        "examples": {text: refusal(parser, text) for text in examples},
        "arguments": {
            argument.name: {
                "options": [str(option) for option in argument.options_list],
                "help": argument.type.settings.get("help") or "",
            }
            for argument in loaded.arguments.values()
            if argument.name not in ("cmd", "_subscription")
        },
    }


def refusal(parser: Any, example: str) -> str:
    """What az's parser says against an example; empty when it takes it."""
    words = shlex.split(example)
    if words[0] != "az":
        return f"it begins with {words[0]}"
    # az gives every command this one when it runs it, not when it lists them.
    if "--subscription" in words:
        at = words.index("--subscription")
        del words[at : at + 2]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser.parse_args(words[1:])
    except SystemExit:
        return said.getvalue() or "refused"
    return ""


main()
