"""What can be wrong with a backend."""


class BackendError(ValueError):
    """A backend that cannot be used; the text names the file and says what to do."""
