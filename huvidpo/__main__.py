"""`python -m huvidpo`: hands over to the commands."""

import sys

if __name__ == "__main__":
    try:
        from huvidpo.cli import main  # inside, as it takes a moment in which somebody may press Ctrl-C

        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
