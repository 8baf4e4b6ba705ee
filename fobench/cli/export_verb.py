"""`fobench export`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
