"""What agent-probe.py told, read strictly: who answers in the agent's place may be the agent itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxhermes.errors import ProxhermesError
from proxhermes.hermes import litellm

if TYPE_CHECKING:
    from proxhermes.verify.scene import Answer

Status = Annotated[int, Field(ge=0, le=999)]
"""Of HTTP; 0 where there was no answer."""
Text = Annotated[str, Field(max_length=2000)]
T = TypeVar("T", bound=BaseModel)


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Gateway(_Told):
    """The gateway's own API, asked without a key. version: what runs, as it says itself."""

    status: Status
    version: Text
    error: Text


class LiteLlm(_Told):
    """LiteLLM on the agent's way: what it answers with the agent's key, and without (`bare`).

    names: some of the `count` models that it lists; asked: the model's own answer to one token, None where it was not
    asked; unasked: why LiteLLM itself was not.
    """

    has_key: bool
    keyed: Status
    keyed_text: Text
    count: Annotated[int, Field(ge=0, le=10**7)]
    names: Annotated[list[Text], Field(max_length=100)]
    bare: Status
    asked: Status | None = None
    asked_text: Text = ""
    unasked: Text = ""

    def verdict(self, model: str) -> litellm.Verdict:
        """How it stands to `model`."""
        asked = None if self.asked is None else litellm.Asked(self.asked, self.asked_text)
        said = "" if self.keyed == 200 else litellm.message(self.keyed_text)
        return litellm.weigh(litellm.Heard(self.keyed, said, tuple(self.names), self.count, asked), model)


class Probe(_Told):
    """One look at the agent's place."""

    gateway: Gateway
    litellm: LiteLlm


class Reply(_Told):
    """The agent's answer to a question; error: why there is none. text: its end."""

    answered: bool
    status: Status
    text: Text
    error: Text


def read(kind: type[T], answer: Answer) -> T:
    """The one JSON object that the program printed. Raises ProxhermesError if there is no such one."""
    try:
        return kind.model_validate_json(answer.out)
    except ValidationError:
        raise ProxhermesError(f"the probe did not run in the agent's place: {answer.last_words}") from None
