"""Export: a stage of a REST API as an OpenAPI 3.0 or Swagger 2.0 document, as API Gateway's GetExport gives it.

API Gateway developer guide, "Export a REST API from API Gateway"; API Gateway API reference (v1), GetExport.
"""
