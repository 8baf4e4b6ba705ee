"""`fobench check`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
