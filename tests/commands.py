"""The command line, as tests call it."""

import pytest

from scenarios.commands.cli import main


def status(*arguments: str) -> object:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code
