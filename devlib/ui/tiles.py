"""Key figures with the age of the data, and what a reader must know of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import traitlets

from devlib.language import Language
from devlib.ui.figures import Age, Tile, Verdict, tiles_html
from devlib.ui.widget import Widget


class Tiles(Widget):
    """Shows key figures; they change in place, without flicker.

    Args:
        language: of its texts.
    """

    script = "tiles.js"

    tiles: traitlets.List[Any] = traitlets.List().tag(sync=True)
    age = traitlets.Dict().tag(sync=True)
    verdict = traitlets.Dict().tag(sync=True)
    warnings: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self, language: Language) -> None:
        self._shown: list[Tile] = []
        super().__init__(language)

    def show(
        self,
        tiles: Sequence[Tile],
        age: Age,
        warnings: Sequence[str] = (),
        *,
        verdict: Verdict | None = None,
    ) -> None:
        """Show other figures.

        Args:
            tiles: the figures.
            age: of the data.
            warnings: what a reader must know of them.
            verdict: the answer in one sentence.
        """
        self._shown = list(tiles)
        with self.hold_sync():
            self.tiles = [asdict(each) for each in tiles]
            self.age = asdict(age)
            self.warnings = list(warnings)
            self.verdict = {} if verdict is None else asdict(verdict)

    def say(self, tiles: Sequence[Tile], text: str) -> None:
        """Show figures that have no age, with a text over them."""
        self.show(tiles, Age(text, stale=False, at=""))

    def plain(self) -> str:
        """Return the figures in words."""
        return ", ".join(f"{each.value} {each.label}" for each in self._shown) or "Tiles"

    def html(self) -> str:
        """Return the figures as a list."""
        return tiles_html(self._shown)
