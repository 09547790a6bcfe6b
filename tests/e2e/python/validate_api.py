"""Holds a running admin API to the document it serves.

    validate_api.py URL TOKEN TENANT COMPONENT.wasm

The document is validated as OpenAPI. Then each operation is asked for something it does, with a tenant whose version v1 is stored and who has
a live call, and for things it refuses; then for what Hypothesis makes up from the document, right and wrong, always the same. Every answer
must have a status, a content type and a body that the document tells of. The gateway is draining afterwards.

Prints one JSON object; ends with status 1 if anything was wrong.
"""

import json
import sys
from collections import Counter

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# Of each operation and kind, right or wrong.
EXAMPLES = 12


@schemathesis.serializer("application/wasm")
def as_it_is(_context, body):
    return body if isinstance(body, bytes) else json.dumps(body).encode()


class Api:
    def __init__(self, url, token, tenant):
        self.schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        validate(self.schema.raw_schema)
        self.headers = {"Authorization": f"Bearer {token}"}
        self.tenant = tenant
        self.statuses = Counter()
        self.succeeded = set()
        self.problems = []

    def ask(self, method, path, expected, headers=None, **about):
        """Sends one request, holds its answer to the document, and returns the answer's JSON."""
        names = {"tenant": self.tenant} if "{tenant}" in path else {}
        names |= about.pop("path_parameters", {})
        case = self.schema[path][method].Case(path_parameters=names, **about)
        response = self.told(case, CHECKS, headers)
        if response.status_code != expected:
            self.problems.append(f"{method} {path} {about.get('body', '')!s:.99}: {response.text}")
        return response.json()

    def told(self, case, checks, headers=None):
        response = case.call(headers=self.headers if headers is None else headers)
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            self.succeeded.add(case.operation.label)
        try:
            case.validate_response(response, checks=checks)
        except BaseExceptionGroup as failures:
            self.problems += [f"{case.operation.label}: {each}" for each in failures.exceptions]
        return response

    def made_up(self, operation):
        """Asks for what the document allows, and for what it does not, by turns of a known and an unknown tenant."""
        known = [{"tenant": self.tenant}] if "{tenant}" in operation.path else []
        for path_parameters in [*known, None]:
            self.examples(operation, GenerationMode.POSITIVE, CHECKS, path_parameters)
            rejecting = [*CHECKS, negative_data_rejection]
            self.examples(operation, GenerationMode.NEGATIVE, rejecting, path_parameters)

    def examples(self, operation, mode, checks, path_parameters):
        @given(case=operation.as_strategy(mode, path_parameters=path_parameters))
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def test(case):
            self.told(case, checks)

        test()


def marked(component, mark):
    """The component with a custom section more: other bytes, the same behaviour."""
    return component + bytes([0, 1 + len(mark), len(mark)]) + mark


def converse(api, component):
    """Has every operation but the last do something, and refuse what it should refuse."""
    of = "/v1/tenants/{tenant}/"
    wasm = {"media_type": "application/wasm"}

    def deploy(body, expected, **query):
        return api.ask("POST", of + "deploy", expected, query=query, body=body, **wasm)

    api.ask("GET", "/v1/tenants", 200)
    deploy(marked(component, b"two"), 200, note="the second")
    api.ask("GET", of + "versions", 200)
    api.ask("POST", of + "canary", 200, body={"version": "v2", "percent": 10})
    api.ask("POST", of + "promote", 200, body={"running": "pin"})
    api.ask("POST", of + "rollback", 200, body={"reason": "it stuttered"})
    api.ask("POST", of + "activate", 409, body={"version": "v2"})
    forced = {"version": "v2", "force": True, "running": "migrate"}
    api.ask("POST", of + "activate", 200, body=forced)
    api.ask("POST", of + "migrate", 200)
    api.ask("POST", of + "policy", 200, body={"policy": "migrate"})
    deploy(marked(component, b"three"), 200, then="activate", running="migrate")
    api.ask("GET", of + "shadow", 409)
    deploy(marked(component, b"four"), 200, then="shadow", percent=100)
    api.ask("GET", of + "shadow", 200)
    api.ask("POST", of + "shadow", 200, body={})
    api.ask("POST", of + "retire", 200, body={"version": "v4"})

    calls = api.ask("GET", "/v1/calls", 200, query={"tenant": api.tenant})["calls"]
    call = {"path_parameters": {"call": calls[0]["call"]}}
    api.ask("POST", "/v1/calls/{call}/command", 200, body={"note": "held"}, **call)
    api.ask("POST", "/v1/calls/{call}/hang-up", 200, **call)

    api.ask("GET", "/v1/tenants", 401, headers={})
    api.ask("GET", "/v1/calls", 404, query={"tenant": "nobody"})
    api.ask("GET", of + "versions", 404, path_parameters={"tenant": "nobody"})
    api.ask("POST", "/v1/calls/{call}/hang-up", 404, path_parameters={"call": "CA1"})
    api.ask("POST", of + "activate", 404, body={"version": "v99"})
    api.ask("POST", of + "activate", 400, body={"verison": "v1"})
    api.ask("POST", of + "policy", 413, body={"policy": "x" * 65536})
    deploy(b"#!/bin/sh\n", 422)
    deploy(component, 400, then="stage", percent=10)


def main():
    url, token, tenant, path = sys.argv[1:]
    with open(path, "rb") as file:
        component = file.read()
    api = Api(url, token, tenant)
    converse(api, component)
    operations = [operation.ok() for operation in api.schema.get_all_operations()]
    for operation in operations:
        if operation.path != "/v1/drain":
            api.made_up(operation)
    api.ask("POST", "/v1/drain", 200, body={"deadline_s": 0})
    never = {operation.label for operation in operations} - api.succeeded
    api.problems += [f"{label}: was never asked with success" for label in never]
    summary = {
        "operations": len(operations),
        "answers": dict(sorted(api.statuses.items())),
        "problems": sorted(set(api.problems)),
    }
    print(json.dumps(summary, indent=1))
    return 1 if api.problems else 0


if __name__ == "__main__":
    sys.exit(main())
