"""`fobench report`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
