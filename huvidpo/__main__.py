"""`python -m huvidpo`: hands over to the commands."""

import sys

from huvidpo.cli import main

if __name__ == "__main__":
    sys.exit(main())
