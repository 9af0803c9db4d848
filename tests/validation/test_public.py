"""What the floor shows."""

import devlib.validation


def test_the_public_names():
    """`devlib.validation` exports what it says, sorted."""
    names = devlib.validation.__all__
    assert names == sorted(names)
    assert all(hasattr(devlib.validation, name) for name in names)
