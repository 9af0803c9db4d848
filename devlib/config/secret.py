"""Secrets of the settings: written down, or where to find them; read when used and never printed."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from devlib.errors import ConfigurationError
from devlib.language import message

_MOST_BYTES = 64 << 10


class Secret(BaseModel):
    """One secret, in one of three forms: `"text"`, `{ env = "NAME" }` or `{ file = "path" }`.

    Args:
        text: the secret itself.
        env: name of the environment variable that holds it.
        file: path of the file that holds it; blanks at its end do not count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: SecretStr | None = None
    env: str | None = Field(None, min_length=1)
    file: Path | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Secret":
        if sum(each is not None for each in (self.text, self.env, self.file)) != 1:
            raise ValueError("a secret is a text, { env = … } or { file = … }")
        return self

    def reveal(self) -> str:
        """Return the secret as it is now.

        Raises:
            ConfigurationError: the variable or the file is missing, or the file cannot be read.
        """
        if self.text is not None:
            return self.text.get_secret_value()
        if self.env is not None:
            if (value := os.environ.get(self.env)) is None:
                raise ConfigurationError(
                    message("The environment variable {name} is not set.", name=self.env),
                    remedy=message("Set it, or name another source of the secret in devlib.toml."),
                )
            return value
        return _read(self.file or Path())


def _read(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "UTF-8"
        raise ConfigurationError(
            message("The file of a secret cannot be read: {error}", error=reason),
            where=str(path),
            remedy=message("Make it a text file that this account may read."),
        ) from None


def _from_text(value: object) -> object:
    return {"text": value} if isinstance(value, str | SecretStr) else value


SecretText = Annotated[Secret, BeforeValidator(_from_text)]
"""A setting that is a secret."""
