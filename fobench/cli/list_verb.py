"""`fobench list`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
