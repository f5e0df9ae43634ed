"""az's log made printable: it shows errors, and with `--debug` headers and bodies of responses."""

from __future__ import annotations

import logging

from azext_otelembed.printable import printable


class _PrintableLog(logging.Formatter):
    """The lines of another formatter as printable text."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return printable(self._formatter.format(record))


def make_logs_printable() -> None:
    """Everything that is logged from now on is printable; a second call changes nothing."""
    for handler in log_handlers():
        if not isinstance(handler.formatter, _PrintableLog):
            handler.setFormatter(_PrintableLog(handler.formatter))


def log_handlers() -> list[logging.Handler]:
    """The handlers of az's loggers and of the libraries' ones."""
    from knack.log import cli_logger_names

    loggers = (logging.getLogger(), *map(logging.getLogger, cli_logger_names))
    return [handler for logger in loggers for handler in logger.handlers]
