"""Numbers and their nouns, for messages of every part."""


def count(number: int, one: str, many: str | None = None) -> str:
    """`count(1, "network")` is "1 network", `count(2, "network")` "2 networks"."""
    return f"{number} {one if number == 1 else many or one + 's'}"
