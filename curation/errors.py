"""Errors meant for the person at the keyboard: what happened, the two numbers, what to do."""


class CurationError(Exception):
    """Something a person can mend. The message is shown as it is; the shell ends with exit code 1."""

    exit_code = 1


class ArgumentError(CurationError):
    """An argument that cannot work (unknown name, impossible number); exit code 2."""

    exit_code = 2


class Cancelled(Exception):
    """A job was asked to stop; raised from a progress callback at the edge of a shard."""
