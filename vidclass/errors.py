"""Errors that commands turn into exit codes. All others of Python's own mean what they mean everywhere."""


class UsageError(ValueError):
    """Arguments contradict each other or the files that they name: exit code 2."""
