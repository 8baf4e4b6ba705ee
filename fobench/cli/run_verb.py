"""`fobench run`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
