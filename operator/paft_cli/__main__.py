"""Entry point of `paft` and of `python -m paft_cli`."""

import sys

from paft_cli.app import app
from paft_cli.errors import CommandError


def main() -> None:
    """Run the command line; what a user can mend ends without a traceback."""
    try:
        app()
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
