"""Words that several widgets show."""

from devlib.language import Language, Message, message

STATES = ("registered", "aged", "unregistered", "unknown")


def state_word(state: str) -> Message:
    """Return the word for a line state."""
    return {
        "registered": message("registered"),
        "aged": message("aged"),
        "unregistered": message("unregistered"),
        "unknown": message("unknown"),
    }[state]


def state_texts(language: Language) -> dict[str, str]:
    """Return the words for all line states."""
    return {state: state_word(state).in_language(language) for state in STATES}
