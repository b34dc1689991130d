"""Tables for the terminal and for Markdown; their first two columns are words, the others numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Lines under a head, grouped by their first column."""

    head: tuple[str, ...]
    lines: list[tuple[str, ...]]

    def terminal(self) -> str:
        widths = [max(len(line[column]) for line in [self.head, *self.lines]) for column in range(len(self.head))]

        def line(words: tuple[str, ...]) -> str:
            return "  ".join(
                word.ljust(width) if column < 2 else word.rjust(width)
                for column, (word, width) in enumerate(zip(words, widths, strict=True))
            ).rstrip()

        rows = [line(self.head)]
        above = None
        for words in self.lines:
            if words[0] != above:
                rows.append("")
                above = words[0]
            rows.append(line(words))
        return "\n".join(rows) + "\n"

    def markdown(self) -> str:
        def line(words: tuple[str, ...]) -> str:
            return "| " + " | ".join(words) + " |\n"

        ruler = "|" + "|".join(["---", "---", *["---:"] * (len(self.head) - 2)]) + "|\n"
        return line(self.head) + ruler + "".join(line(words) for words in self.lines)
