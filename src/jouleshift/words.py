"""Numbers with their nouns and names of files as text, for messages and files of every part."""


def count(number: int, one: str, many: str | None = None) -> str:
    """`count(1, "network")` is "1 network", `count(2, "network")` "2 networks"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def legible(name: str) -> str:
    """A file's or folder's name as text that can be written: bytes of it that are no UTF-8 become "�"."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
