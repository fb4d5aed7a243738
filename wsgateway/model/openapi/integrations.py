"""`x-amazon-apigateway-integration` as an integration.

API Gateway developer guide, "x-amazon-apigateway-integration object".
"""

from __future__ import annotations

from typing import Any, Final

from wsgateway.model.base import Path
from wsgateway.model.explain import wrong_kind
from wsgateway.model.openapi.place import Document, Place
from wsgateway.model.openapi.sheet import Sheet
from wsgateway.model.rest_integration import PASSED

UPPER: Final = frozenset({"type", "passthroughBehavior", "contentHandling", "connectionType", "responseTransferMode"})
"""What documents write in lower case, as AWS's own exports do."""
PROXIES: Final = frozenset({"AWS_PROXY", "HTTP_PROXY"})
MAPPING: Final = frozenset({"passthroughBehavior", "requestTemplates", "responses"})
"""What says how requests and answers are made into others."""


def put_integration(document: Document, sheet: Sheet, at: Path, written: Place) -> None:
    """The integration `written`, at `at` of the definitions."""
    place = document.follow(written)
    if place is None:
        return
    if not isinstance(place.value, dict):
        document.wrong(place, wrong_kind("an integration, which is a mapping", place.value))
        return
    kind = str(place.value.get("type", "")).upper()
    sheet.put(at, {}, place)
    for key, entry in place.entries():
        if entry.value is None or (key == "httpMethod" and kind in ("MOCK", "AWS_PROXY")):
            continue
        if kind in PROXIES and key in MAPPING:
            _tell_of_mapping(document, key, entry)
        elif key == "responses":
            _put_responses(document, sheet, (*at, "integrationResponses"), entry)
        else:
            _put_field(document, sheet, (*at, key), entry)
    if kind == "AWS_PROXY":
        sheet.put((*at, "httpMethod"), "POST", place.get("httpMethod") or place)  # whatever it says, as on AWS


def _tell_of_mapping(document: Document, key: str, entry: Place) -> None:
    """What AWS ignores of proxies; its exports hold some of it, for every one."""
    usual = all(each.value in ({"statusCode": "200"}, {"statusCode": 200}) for _, each in entry.entries())
    if not (key == "passthroughBehavior" or (key == "responses" and usual) or not entry.value):
        document.remark(entry, "has no effect, as on AWS: a proxy hands requests and answers on as they are")


def _put_field(document: Document, sheet: Sheet, at: Path, entry: Place) -> None:
    key = at[-1]
    if key == "payloadFormatVersion":
        if str(entry.value) != "1.0":
            document.refuse(entry, "is for HTTP APIs; functions of REST APIs get events of version 1.0")
    elif key == "cacheKeyParameters" and entry.value == []:
        return
    else:
        value = entry.value
        if key in UPPER and isinstance(value, str):
            value = value.upper()
        sheet.put(at, templates(value) if key == "requestTemplates" else value, entry)


def templates(value: Any) -> Any:
    """With null for the media types whose bodies go on as they came."""
    if not isinstance(value, dict):
        return value
    return {media: None if text == PASSED else text for media, text in value.items()}


def _put_responses(document: Document, sheet: Sheet, at: Path, responses: Place) -> None:
    sheet.origins[at] = responses.path
    for pattern, response in document.mapping(responses):
        if not isinstance(response.value, dict):
            document.wrong(response, wrong_kind("a mapping", response.value))
            continue
        code = response.value.get("statusCode")
        if isinstance(code, bool) or not isinstance(code, (str, int)):
            document.wrong(response, "needs a statusCode: the status that clients get, such as '200'")
            continue
        status = str(code)
        if sheet.get((*at, status)) is not None:
            text = f"is another response of status {status}; an integration has one for each status, as on AWS"
            document.refuse(response, text)
            continue
        sheet.put((*at, status), {}, response)
        if pattern != "default":
            sheet.put((*at, status, "selectionPattern"), pattern, response)
        _put_response(sheet, (*at, status), response)


def _put_response(sheet: Sheet, at: Path, response: Place) -> None:
    for key, entry in response.entries():
        if key == "statusCode" or entry.value is None:
            continue
        if key == "contentHandling" and isinstance(entry.value, str):
            sheet.put((*at, key), entry.value.upper(), entry)
        else:
            sheet.put((*at, key), templates(entry.value) if key == "responseTemplates" else entry.value, entry)
