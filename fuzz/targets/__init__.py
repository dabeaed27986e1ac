"""One file for each kind of input that a stranger may send."""
