"""`fobench doctor`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
