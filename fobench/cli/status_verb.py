"""`fobench status`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
