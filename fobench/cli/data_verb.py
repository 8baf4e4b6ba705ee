"""`fobench data`."""


def verb() -> None:
    """To be written."""
    raise NotImplementedError
