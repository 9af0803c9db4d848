"""Key figures with the age of the data, and what a reader must know of them."""

from collections.abc import Sequence
from dataclasses import asdict

import traitlets

from devlib.language import Language
from devlib.ui.figures import Age, Tile, tiles_html
from devlib.ui.widget import Widget


class Tiles(Widget):
    """Shows key figures; they change in place, without flicker.

    Args:
        language: of its texts.
    """

    script = "tiles.js"

    tiles = traitlets.List().tag(sync=True)
    age = traitlets.Dict().tag(sync=True)
    warnings = traitlets.List().tag(sync=True)

    def __init__(self, language: Language) -> None:
        self._shown: list[Tile] = []
        super().__init__(language)

    def show(self, tiles: Sequence[Tile], age: Age, warnings: Sequence[str] = ()) -> None:
        """Show other figures."""
        self._shown = list(tiles)
        with self.hold_sync():
            self.tiles = [asdict(each) for each in tiles]
            self.age = asdict(age)
            self.warnings = list(warnings)

    def say(self, tiles: Sequence[Tile], text: str) -> None:
        """Show figures that have no age, with a text over them."""
        self.show(tiles, Age(text, stale=False, at=""))

    def plain(self) -> str:
        """Return the figures in words."""
        return ", ".join(f"{each.value} {each.label}" for each in self._shown) or "Tiles"

    def html(self) -> str:
        """Return the figures as a list."""
        return tiles_html(self._shown)
