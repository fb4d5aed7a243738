"""OpenAPI documents (Swagger 2.0, OpenAPI 3.0) with API Gateway's extensions, as definitions and back.

API Gateway developer guide, "Develop REST APIs using OpenAPI in API Gateway" and "OpenAPI extensions for API Gateway".
"""
