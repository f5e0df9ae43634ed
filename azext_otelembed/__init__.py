"""Azure CLI extension: an OpenTelemetry Collector inside the image of an Azure Linux Web App."""

from __future__ import annotations

from typing import Any

from azure.cli.core import AzCommandsLoader


class OtelembedCommandsLoader(AzCommandsLoader):  # type: ignore[misc]  # az is untyped
    """What az loads. Nothing heavy is imported here: SDKs are, by the command that needs them."""

    def __init__(self, cli_ctx: Any = None) -> None:
        from azure.cli.core.commands import CliCommandType

        from azext_otelembed import _help  # noqa: F401  # registers the help texts

        custom = CliCommandType(operations_tmpl="azext_otelembed.custom#{}")
        super().__init__(cli_ctx=cli_ctx, custom_command_type=custom)
        if cli_ctx is not None:
            from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

            cli_ctx.register_event(EVENT_INVOKER_POST_PARSE_ARGS, after_parsing)

    def load_command_table(self, args: Any) -> Any:
        """Fills the command table (called by az)."""
        from azext_otelembed.commands import load_command_table

        load_command_table(self, args)
        return self.command_table

    def load_arguments(self, command: str) -> None:
        """Declares the arguments of `command` (called by az)."""
        from azext_otelembed._params import load_arguments

        load_arguments(self, command)


def after_parsing(_cli_ctx: Any, command: str = "", args: Any = None, **_: Any) -> None:
    """Makes az's log printable, which tells what is wrong with arguments, and checks them.

    az calls it for each command, of whatever extension.
    """
    if command.partition(" ")[0] == "otelembed":
        from azext_otelembed._validators import validate_text
        from azext_otelembed.printable_log import make_logs_printable

        make_logs_printable()
        validate_text(args)


COMMAND_LOADER_CLS = OtelembedCommandsLoader
