"""Fuzzing: bytes from anywhere against properties that must hold; see README.md."""
