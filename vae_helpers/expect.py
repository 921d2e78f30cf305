"""What a function may count on, stated in one line; else an error that says what was expected and what came."""


def expect(holds: bool, message: str, error: type[Exception] = ValueError) -> None:
    """Raises `error` with `message`, which says what was expected, what came and what to do, unless it `holds`."""
    if not holds:
        raise error(message)
