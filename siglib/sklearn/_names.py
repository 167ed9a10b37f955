"""Names of features: words of channel names."""

from collections.abc import Iterable

from ..signatures.words import Word, is_lyndon, lyndon_words, words


def path_channels(names: list[str], *, time_aug: bool, lead_lag: bool) -> list[str]:
    """Names of the channels of a transformed path, in its order."""
    if lead_lag:
        names = [f"{name} lag" for name in names] + [f"{name} lead" for name in names]
    return [*names, "time"] if time_aug else names


def signature_names(channels: list[str], degree: int) -> list[str]:
    return [_product(channels, word) for word in words(len(channels), degree) if word]


def log_signature_names(channels: list[str], degree: int, method: int) -> list[str]:
    """Level 2 is the same in all coordinates: the area between two channels."""
    if method == 0:
        return signature_names(channels, degree)
    return [
        f"area({channels[word[0]]}, {channels[word[1]]})"
        if len(word) == 2
        else (_product(channels, word) if method == 1 else _bracket(channels, word))
        for word in lyndon_words(len(channels), degree)
    ]


def _product(channels: list[str], word: Iterable[int]) -> str:
    return " · ".join(channels[letter] for letter in word)


def _bracket(channels: list[str], word: Word) -> str:
    """The Lie bracket of a Lyndon word: its longest Lyndon suffix but itself is the right one of the two factors."""
    if len(word) == 1:
        return channels[word[0]]
    cut = next(i for i in range(1, len(word)) if is_lyndon(word[i:]))
    return f"[{_bracket(channels, word[:cut])}, {_bracket(channels, word[cut:])}]"
