"""Which API and stage a question is about."""

from __future__ import annotations

from wsgateway.errors import StartError
from wsgateway.explain.base import Question
from wsgateway.model.definitions import Definitions
from wsgateway.model.explain import did_you_mean, shown


def place_of(definitions: Definitions, question: Question) -> tuple[str, str]:
    """The API and stage that are meant. *Raises* StartError."""
    api_id = question.api or _default(definitions, question)
    apis = definitions.apis
    if api_id not in apis:
        raise StartError(f"there is no API {shown(api_id)}{did_you_mean(api_id, apis)}")
    of_rest = api_id in definitions.rest_apis
    if of_rest and question.route is not None:
        raise StartError(f"{api_id} is a REST API; say --method and --path of the request, not a route")
    if not of_rest and question.of_rest:
        raise StartError(f"{api_id} is a WebSocket API; --method, --path and --canary are of REST APIs")
    if not of_rest and (question.headers or question.query) and question.route != "$connect":
        raise StartError("of WebSocket APIs only a handshake has headers and a query; add --connect")
    stages = apis[api_id].stages
    if question.stage is None and len(stages) > 1:
        raise StartError(f"API {api_id} has several stages; say which: --stage {'|'.join(stages)}")
    stage = question.stage or next(iter(stages))
    if stage not in stages:
        raise StartError(f"API {api_id} has no stage {shown(stage)}{did_you_mean(stage, stages)}")
    if question.canary and definitions.rest_apis[api_id].stages[stage].canary_settings is None:
        raise StartError(f"stage {stage} of API {api_id} has no canary; give it canarySettings")
    return api_id, stage


def _default(definitions: Definitions, question: Question) -> str:
    """The API where the question names none."""
    rest = question.of_rest or not definitions.websocket_apis
    api_id = definitions.default("REST" if rest else "WEBSOCKET")
    if api_id is not None:
        return api_id
    apis = definitions.rest_apis if rest else definitions.websocket_apis
    if not apis:
        raise StartError("--method, --path and --canary are of REST APIs, and there is none")
    raise StartError(f"there are several APIs; say which: --api {'|'.join(apis)}")
