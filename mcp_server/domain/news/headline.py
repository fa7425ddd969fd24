"""A headline as words and what stands between them, and what its capitals can tell."""

import re
from functools import cached_property

_WORDS = re.compile(r"([^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+)")
"""Letters and digits in a row. Chinese, Japanese and Korean letters part words, as those scripts put no spaces."""

_JOINS = frozenset((" ", "-", ".", "\u2010", "\u2011"))
_ENDS = frozenset('.:?!;"|[]\u201c\u201d\u00ab\u00bb\u2013\u2014\u2026\u2022')
_LONG = 4
"""Shorter words tell nothing of how a headline is capitalised."""

_ALIKE = frozenset(("style", "like", "inspired", "esque", "killer", "killers"))


class Headline:
    """The words of a headline; `gaps[i]` stands before word i, and one more gap after the last word."""

    def __init__(self, text: str) -> None:
        parts = _WORDS.split(text)
        self.words, self.gaps = parts[1::2], parts[::2]
        self.folded = [word.lower() for word in self.words]

    def word(self, at: int) -> str:
        """Return a word in small letters, "" beyond the last one."""
        return self.folded[at] if 0 <= at < len(self.folded) else ""

    def text(self, at: int, count: int) -> str:
        """Return some words as they are written."""
        gaps = self.gaps[at + 1 : at + count]
        return self.words[at] + "".join(
            gap + word for gap, word in zip(gaps, self.words[at + 1 : at + count], strict=True)
        )

    def has(self, words: tuple[str, ...], at: int) -> bool:
        """Return whether these words in small letters stand at a position, one space, dot or hyphen apart."""
        if len(words) == 1:
            return self.folded[at] == words[0]
        end = at + len(words)
        return tuple(self.folded[at:end]) == words and _JOINS.issuperset(self.gaps[at + 1 : end])

    def begins(self, at: int) -> bool:
        """Return whether a word begins the headline or a sentence in it, so that its capital tells nothing."""
        return at == 0 or not _ENDS.isdisjoint(self.gaps[at])

    def is_cashtag(self, at: int) -> bool:
        """Return whether a `$` stands before a word, and nothing before that, as in `US$ONE`."""
        return self.gaps[at].endswith("$") and (at == 0 or self.gaps[at] != "$")

    def only_alike(self, end: int) -> bool:
        """Return whether what stands before a position is only compared with: an `Ethereum-killer`."""
        return self.gaps[end] == "-" and self.word(end) in _ALIKE

    @cached_property
    def all_capitals(self) -> bool:
        """Whether it is written in capitals throughout, so that every word looks like a ticker."""
        letters = [word for word in self.words if len(word) > 1 and word.isalpha()]
        return (
            len(letters) > 1
            and all(word.isupper() for word in letters)
            and not any(letter.isalpha() for letter in "".join(self.gaps))
        )

    @cached_property
    def title_case(self) -> bool:
        """Whether most of its longer words have a capital, so that a capital is no sign of a name."""
        long_words = [word for word in self.words[1:] if len(word) >= _LONG and word.isalpha()]
        return len([word for word in long_words if word[0].isupper()]) * 2 > len(long_words)
