"""The component's exports. Nothing here needs to change; the tenant is in tenant.py."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.log import Level, log

from cordboard import Agent
from tenant import MyTenant

# Everything a call needs is loaded now, while the component is built, and not while a caller waits.
_agent = Agent(MyTenant)


class Handler(exports.Handler):
    def handle(self, now, event):
        try:
            return _agent.handle(now, event)
        except Exception as error:
            # It ends this instance; its words shall be in the tenant's log.
            log(Level.ERROR, _traced(error))
            raise


def _traced(error: BaseException) -> str:
    """An exception with the files and lines it came through.

    Python's own `traceback` quotes the source, and looks for it in files, of which a component has none.
    """
    lines, at = [], error.__traceback__
    while at is not None:
        lines.append(f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno} in {at.tb_frame.f_code.co_name}")
        at = at.tb_next
    return "\n".join([f"{type(error).__name__}: {error}", *reversed(lines)])


class Handover(exports.Handover):
    def save(self):
        return json.dumps(_agent.save()).encode()

    def load(self, now, info, state):
        try:
            _agent.load(info, json.loads(state.decode("ascii")))
        except Exception as reason:
            # Whatever the bytes are: the old version stays in charge of the call.
            raise Err(f"not a state of this tenant: {reason!r}")
