"""How a source says no: to a whole file by an error, to a single row by a reason beside it."""

REJECTED = "_rejected"
"""Column beside the contract's own: the rule under which a row is rejected, null where it is fine."""


class SourceError(ValueError):
    """A raw source cannot be read; the message names the root's variable, the table and the file."""
