"""Mapping templates: the Velocity template language, compiled."""

from wsgateway.templates.vtl.errors import RenderError, TemplateError
from wsgateway.templates.vtl.runtime import Variables
from wsgateway.templates.vtl.template import MAX_TEMPLATE, Template, compile

__all__ = ["MAX_TEMPLATE", "RenderError", "Template", "TemplateError", "Variables", "compile"]
