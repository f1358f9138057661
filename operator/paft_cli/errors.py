"""What ends a command with words instead of a traceback."""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


class CommandError(Exception):
    """Ends the command: `str()` goes to stderr, `exit_code` to the shell."""

    def __init__(self, message: str, *, exit_code: int = EXIT_BAD_INPUT) -> None:
        super().__init__(message)
        self.exit_code = exit_code
