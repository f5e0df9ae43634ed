"""The command table: command names, their functions in `custom`, the output of their results."""

from __future__ import annotations

from typing import Any

from azext_otelembed.printable import printable_result


def load_command_table(loader: Any, _args: Any) -> None:
    """Registers the commands with az."""
    with loader.command_group("otelembed", transform=printable_result) as group:
        group.custom_command(
            "deploy", "deploy", table_transformer="{site:site, image:image.name, changed:changed}"
        )
        group.custom_command("build", "build", table_transformer=BUILD_TABLE)
        # Its texts are files of many lines; untrusted text in them is escaped as JSON.
        group.custom_command("dockerfile", "dockerfile", transform=None)
        group.custom_command("status", "status", table_transformer=STATUS_TABLE)
        group.custom_command("doctor", "doctor", table_transformer=LINK_TABLE)
        group.custom_command("logs", "logs", table_transformer=LOG_TABLE)
        group.custom_command("history", "history", table_transformer=HISTORY_TABLE)
        group.custom_command("rollback", "rollback", table_transformer=RELEASE_TABLE)
        group.custom_command("remove", "remove", table_transformer=RELEASE_TABLE)
        group.custom_command("prune", "prune", table_transformer=PRUNE_TABLE)
        group.custom_command("wait", "wait", table_transformer=RELEASE_TABLE)
    with loader.command_group("otelembed config", transform=printable_result) as group:
        group.custom_command("validate", "validate_config", table_transformer=PROBLEM_TABLE)
        # Its text is a file of many lines; untrusted text in it is escaped as JSON.
        group.custom_command("show", "show_config", transform=None)


BUILD_TABLE = "{image:image.name, base:base.name, built:built}"
STATUS_TABLE = (
    "{site:site, state:state, embedded:embedded, image:image.name, "
    "collector:collector.version, setting:setting.present, healthy:healthy}"
)
LINK_TABLE = "links[].{link:link, state:state, evidence:evidence, fix:fix}"
LOG_TABLE = "[].{time:time, source:source, text:text}"
HISTORY_TABLE = (
    "[].{number:number, current:current, state:state, started:started, image:image, "
    "previous:previousImage, reason:reason}"
)
RELEASE_TABLE = "{site:site, image:image.name, state:release.state, healthy:healthy}"
PROBLEM_TABLE = "[errors, warnings][].{file:file, line:line, path:path, message:message}"
PRUNE_TABLE = (
    "[].{repository:repository, tags:join(', ', tags), created:created, keptBecause:keptBecause}"
)
