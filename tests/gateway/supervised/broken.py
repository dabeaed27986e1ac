"""Stands for a relay that cannot start."""

import sys

sys.exit("cannot start")
