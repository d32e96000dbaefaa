"""The modules beside the benchmarks' scripts can be imported here; behind the tests' own, whose names are alike."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
