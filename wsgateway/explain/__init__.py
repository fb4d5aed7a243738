"""What would become of one event: every step by what `serve` would run, up to the backend or to a canned answer.

The definition is compiled as for `serve`, and the event carries a trace that keeps what steps note. What asks backends
is replaced where nobody is to be called: no socket is opened then, and no credentials are needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from wsgateway.backends import check
from wsgateway.explain import messages, requests
from wsgateway.explain.base import Explanation, Question
from wsgateway.explain.place import place_of
from wsgateway.explain.stand_ins import backends_for, open_all
from wsgateway.model.loader import Loaded
from wsgateway.transport.keyring import Keyring

__all__ = ["Explanation", "Question", "explain"]


async def explain(
    loaded: Loaded, environ: Mapping[str, str], question: Question, region: str | None = None
) -> Explanation:
    """Carry one event through what `serve` would run.

    *Raises* DefinitionError; StartError where the question names what isn't there.
    """
    api_id, stage_name = place_of(loaded.definitions, question)
    explanation = Explanation(api_id, stage_name)
    backends = backends_for(question, environ, region)
    try:
        checked = check(loaded, backends, Keyring())
        if question.call:
            await open_all(backends, checked)
        api = loaded.definitions.websocket_apis.get(api_id)
        if api is None:
            await requests.explained(checked, question, explanation)
        else:
            stage = checked.deployment.stages[api_id, stage_name]
            await messages.explained(stage, api.route_selection_expression, question, explanation)
        return explanation
    finally:
        await backends.aclose()
