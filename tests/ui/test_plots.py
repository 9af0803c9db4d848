"""Figures of what a young home holds: one snapshot, one hour, one day."""

import pandas as pd
import pytest

from devlib.ui.plots import heat_map_figure, shares_figure

MOMENTS = pd.to_datetime(["2026-11-02 08:00", "2026-11-02 14:00", "2026-11-02 20:00"])


def shares(count):
    return pd.DataFrame({"bucket": MOMENTS[:count], "share": [0.5] * count, "customer": ["A"] * count})


def test_one_moment_has_a_day_around_it():
    """A share that is known once is a point in the middle of a day, not in a window of milliseconds."""
    figure = shares_figure(shares(1), by="customer")
    assert figure["layout"]["xaxis"]["range"] == ["2026-11-01T20:00:00", "2026-11-02T20:00:00"]
    assert figure["data"][0]["mode"] == "lines+markers"


@pytest.mark.parametrize("count", [0, 2, 3])
def test_several_moments_choose_their_window(count):
    """Of several moments, or none, the axis goes from the first to the last."""
    assert "range" not in shares_figure(shares(count), by="customer")["layout"]["xaxis"]


def test_many_points_are_a_line():
    """Where there are more points than a page can show apart, they are a line."""
    many = pd.DataFrame(
        {"bucket": pd.date_range("2026-11-02", periods=100, freq="6h"), "share": 0.5, "site": "S"}
    )
    assert shares_figure(many, by="site")["data"][0]["mode"] == "lines"


def test_a_heat_map_of_one_hour_is_a_column():
    """One hour has no width on an axis of time; of two there is one."""
    frame = pd.DataFrame({"bucket": MOMENTS, "site": "S", "down": [0.1, 0.2, 0.3]})
    one = heat_map_figure(frame[:1], x="bucket", y="site", value="down")
    assert one["layout"]["xaxis"]["type"] == "category"
    assert one["data"][0]["x"] == ["2026-11-02 08:00"]
    assert heat_map_figure(frame, x="bucket", y="site", value="down")["layout"]["xaxis"]["type"] == "date"
