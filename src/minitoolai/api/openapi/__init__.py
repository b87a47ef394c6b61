"""The API's own description in OpenAPI 3.1, made from the routes, the bodies' schemas and the errors."""
