"""The benchmark: the relay against nginx, taking turns on one core; see README.md."""
