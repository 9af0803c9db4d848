"""Words that several widgets show."""

from devlib.language import Language
from devlib.model import LineState, state_word

STATES = tuple(state.value for state in LineState)


def state_texts(language: Language) -> dict[str, str]:
    """Return the words for all line states."""
    return {state.value: state_word(state).in_language(language) for state in LineState}
