"""Checks Realtime events against the types of the official `openai` package.

Reads JSON lines from a file (or standard input), one event a line, and reports every event that the package's own type refuses, and every
field the type does not know. Ends with status 1 if there was any.

    validate_events.py [--dialect ga|beta] [--side client|server] [--allow FIELD ...] [FILE]
"""

import argparse
import json
import sys

import pydantic
from openai.types.beta.realtime import RealtimeClientEvent as BetaClientEvent
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent

TYPES = {
    ("ga", "client"): RealtimeClientEvent,
    ("ga", "server"): RealtimeServerEvent,
    ("beta", "client"): BetaClientEvent,
    ("beta", "server"): BetaServerEvent,
}


class Validator:
    def __init__(self, dialect: str = "ga", side: str = "client", allowed: set[str] = frozenset()):
        # The package's union is not discriminated for pydantic, so that one bad field would be reported once per
        # type. Each event is checked against the one type that has its name instead.
        union = TYPES[(dialect, side)]
        members = union.__args__[0].__args__ if hasattr(union, "__metadata__") else union.__args__
        self.models = {}
        for member in members:
            (name,) = member.model_fields["type"].annotation.__args__
            self.models[name] = pydantic.TypeAdapter(member)
        self.allowed = allowed

    def problems(self, event: dict) -> list[str]:
        model = self.models.get(event.get("type"))
        if model is None:
            return [f"type: {event.get('type')!r} is no event of the package"]
        try:
            parsed = model.validate_python(event)
        except pydantic.ValidationError as error:
            return [
                f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()
            ]
        return list(self.unknown(parsed, ""))

    def unknown(self, value, path: str):
        """Yields every field, however deep, that no type knows."""
        if isinstance(value, pydantic.BaseModel):
            for name in value.model_extra or {}:
                if name not in self.allowed:
                    yield f"{path}{name}: the package knows no such field"
            for name in type(value).model_fields:
                yield from self.unknown(getattr(value, name, None), f"{path}{name}.")
        elif isinstance(value, list):
            for n, entry in enumerate(value):
                yield from self.unknown(entry, f"{path}{n}.")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--dialect", choices=["ga", "beta"], default="ga")
    arguments.add_argument("--side", choices=["client", "server"], default="client")
    arguments.add_argument("--allow", nargs="*", default=[], metavar="FIELD")
    arguments.add_argument("file", nargs="?", type=argparse.FileType(), default=sys.stdin)
    options = arguments.parse_args()
    validator = Validator(options.dialect, options.side, set(options.allow))
    events = bad = 0
    for number, line in enumerate(options.file, 1):
        if not line.strip():
            continue
        events += 1
        problems = validator.problems(json.loads(line))
        bad += bool(problems)
        for problem in problems:
            print(f"line {number}: {problem}", file=sys.stderr)
    print(f"{events} events, {events - bad} valid")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
