"""`python -m eyehand` is the command `eyehand`."""

import sys

from eyehand.cli import main

sys.exit(main())
