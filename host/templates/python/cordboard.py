"""The part of a voice agent that is the same for everybody.

One rule: **audio passes through.** Caller and model speak the telephone's own G.711, so no loop over samples ever
runs in the interpreter. All else is turn-taking: one response at a time, silence for a caller who interrupts,
and the model told what was really heard.

The contract is wit/tenant.wit; `componentize-py bindings` writes its types to bindings/wit_world.
"""

import json

from wit_world.imports import types as wit
from wit_world.imports.log import Level, log

# Bounds, so that a long call stays small and its state quick to hand over.
TRANSCRIPT_LINES_MAX = 40
LINE_LENGTH_MAX = 1_000
DEAD_RESPONSES_MAX = 16
REQUESTS_MAX = 8
BRACKETS_MAX = 1_000
TOOLS_OPEN_MAX = 16
TOOLS_SEEN_MAX = 64
TOOL_OUTPUT_MAX = 16_000
# Timers and HTTP tokens below this number are the tenant's.
_RETRY = 1_000_000
# From here on, four to a tool that is answered later: its hold phrase, its deadline, its HTTP request.
_TOOLS = 2_000_000
_HOLD, _DEADLINE, _REQUEST = 0, 1, 2
_RETRY_AFTER_MS = 1_000
_GOODBYE_DEADLINE_MS = 10_000


class _Later:
    """What `Call.later` and `Call.ask` return: the answer comes another time."""


LATER = _Later()


class Tenant:
    """What makes one tenant different. Everything has a default."""

    instructions = "You are a friendly assistant on the telephone. Keep your answers short."
    # The first words, said exactly; None lets the caller speak first.
    greeting = None
    voice = "marin"
    # Function tools as the Realtime API has them.
    tools: list = []
    turn_detection = {"type": "server_vad", "silence_duration_ms": 500}

    def __init__(self, info, settings: dict):
        """A new call; `settings` is the table of tenant.toml."""

    def on_key(self, call, key: str):
        """The caller pressed a key: 0-9, *, #, A-D."""

    def on_tool(self, call, name: str, arguments: dict):
        """The model called a tool; what is returned becomes JSON and its answer.

        A tool that has to ask a server first returns `call.ask(..)`, and one that waits for anything else
        `call.later(..)`: the answer then comes when it is there, and the caller hears words meanwhile.
        """
        return {"error": f"there is no tool named {name}"}

    def on_answer(self, call, name: str, answer):
        """A server answered what `call.ask` asked: its JSON, or its text. What is returned is the tool's answer."""
        return answer

    def on_transcript(self, call, who: str, text: str):
        """A line was said by `caller` or `agent`."""

    def on_timer(self, call, token: int):
        """A timer of the tenant's own."""

    def on_http(self, call, token: int, answer):
        """The outcome of a request: wit.HttpResponse or wit.HttpFailure."""

    def on_command(self, call, command):
        """An operator's JSON."""

    def on_ended(self, call, how):
        """The call is over; only `publish` and `http` still have an effect."""

    def save(self):
        """What a new version must know when it takes over in mid-call, as JSON can hold it."""
        return None

    def load(self, state):
        """Takes over from a predecessor; raise ValueError to leave it in charge."""


class Call:
    """What a tenant may ask for."""

    def __init__(self, agent):
        self._agent = agent
        self.now = 0
        self.actions: list = []
        # The id of the tool call that `on_tool` is to answer.
        self.tool_id = None

    def ask(self, method: str, url: str, value=None, headers=(), hold=None, hold_after_ms=1_500, timeout_ms=10_000):
        """Answers a tool with what a server says: `return call.ask("POST", url, arguments)` in `on_tool`.

        `value` is sent as JSON; a header may hold {{secret:NAME}}. The tool's answer is what `on_answer` makes of
        the server's. A server that refuses, fails or is late becomes `{"error": ..}`, which the model can
        speak about. `hold` is said when nothing came for `hold_after_ms`.
        """
        self.later(hold, hold_after_ms, timeout_ms + 1_000)
        tool = self._agent.state["tools"].get(self.tool_id)
        if tool is None:
            return LATER
        tool["http"] = True
        body = b"" if value is None else json.dumps(value).encode()
        kind = [] if value is None else [("content-type", "application/json")]
        self.http(tool["token"] + _REQUEST, method, url, [*kind, *headers], body, timeout_ms)
        return LATER

    def later(self, hold=None, hold_after_ms=1_500, timeout_ms=30_000):
        """Answers a tool later, by `answer_tool(call.tool_id, ..)`: `return call.later()` in `on_tool`.

        `hold` is said when no answer came for `hold_after_ms`. After `timeout_ms` the model is told that there is none.
        """
        tool = self._agent.state["tools"].get(self.tool_id)
        if tool is None:
            return LATER
        if hold:
            tool["hold"] = hold
            self.set_timer(tool["token"] + _HOLD, hold_after_ms)
        self.set_timer(tool["token"] + _DEADLINE, timeout_ms)
        return LATER

    def answer_tool(self, tool_id: str, value):
        """Answers a tool that was left for later. A second answer, and one to a tool that nobody called, go nowhere."""
        self._agent.answer_tool(tool_id, value)

    def say(self, words: str):
        """Has the agent say exactly this, as soon as nobody else speaks."""
        self.prompt(f"Now say exactly this and nothing else:\n{words}")

    def prompt(self, instructions: str):
        """Has the agent respond to instructions of the moment."""
        own = self._agent.tenant.instructions
        self._agent.request(f"{own}\n\n{instructions}")

    def tell(self, text: str):
        """Adds a note to the conversation, without asking for a response; a new session is told of it, too."""
        self._agent.remember("user", text)
        if self._agent.state["connected"]:
            self.model(_message("user", text))

    def respond(self):
        """Has the agent answer the conversation as it stands."""
        self._agent.request(None)

    def publish(self, topic: str, value):
        """Tells the outside: lower-case words with dots, and anything JSON can hold."""
        self.actions.append(wit.Action_Publish(wit.Publication(topic, json.dumps(value))))

    def hang_up(self, reason: str):
        """Ends the call once everything queued was heard; an interruption keeps it."""
        hang_up = wit.HangUp(wit.HangUpWhen.WHEN_PLAYED, _GOODBYE_DEADLINE_MS, reason)
        self._agent.state["ending"] = reason
        self.actions.append(wit.Action_HangUp(hang_up))

    def say_goodbye(self, words: str, reason: str):
        """Says last words and hangs up when they were heard; an interruption keeps the call."""
        self.say(words)
        self._agent.state["goodbye"] = reason

    def transfer(self, to: str, caller_id=None):
        """Puts the caller through: E.164 or `sip:`."""
        self.actions.append(wit.Action_Transfer(wit.Transfer(to, caller_id)))

    def send_keys(self, keys: str):
        """Presses keys towards the far end; `w` waits half a second."""
        self.actions.append(wit.Action_SendKeys(keys))

    def set_timer(self, token: int, after_ms: int):
        """Asks for on_timer; the same token again moves the timer."""
        self.actions.append(wit.Action_SetTimer(wit.Timer(token, self.now + after_ms)))

    def cancel_timer(self, token: int):
        self.actions.append(wit.Action_CancelTimer(token))

    def http(self, token: int, method: str, url: str, headers=(), body=b"", timeout_ms=10_000):
        """Has the host make a request; a header may hold {{secret:NAME}}."""
        request = wit.HttpRequest(token, method, url, list(headers), body, timeout_ms)
        self.actions.append(wit.Action_Http(request))

    def model(self, event: dict):
        """Sends any client event of the Realtime API, under an id that errors about it will name."""
        state = self._agent.state
        state["events"] += 1
        event.setdefault("event_id", f"event-{state['events']}")
        self.actions.append(wit.Action_ModelEvent(json.dumps(event)))


class Agent:
    """The fold that the contract asks for: handle, save, load."""

    def __init__(self, tenant_class):
        self._tenant_class = tenant_class
        self.call = Call(self)
        self.tenant = None
        self.state = _fresh_state()

    def handle(self, now: int, event) -> list:
        # Fifty times a second, and first for that reason.
        if isinstance(event, wit.Event_CallerAudio):
            return [wit.Action_ModelAudio(event.value)]
        self.call.now = now
        # `started` or `load` comes first; whatever else did, there is no tenant yet to be told.
        if (self.tenant is None) == isinstance(event, wit.Event_Started):
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event.value)
            self._respond_if_due()
        actions, self.call.actions = self.call.actions, []
        return actions

    def save(self):
        return {"agent": self.state, "tenant": self.tenant.save() if self.tenant else None}

    def load(self, info, saved):
        state = _fresh_state()
        state.update({name: value for name, value in saved["agent"].items() if name in state})
        self.state = state
        self._begin(info)
        self.tenant.load(saved["tenant"])
        # This version may want another session; it says so until a `session.updated` confirms it.
        if json.dumps(self._session()) != state["configured"]:
            state["update_due"] = True

    def request(self, instructions):
        requests = self.state["requests"]
        if instructions in requests or len(requests) >= REQUESTS_MAX:
            return
        requests.append(instructions)

    def remember(self, role, text):
        """Keeps what a session that takes the place of a lost one has to be told."""
        lines = self.state["transcript"] + [[role, text[:LINE_LENGTH_MAX]]]
        self.state["transcript"] = lines[-TRANSCRIPT_LINES_MAX:]

    def answer_tool(self, tool_id, value):
        tool = self.state["tools"].pop(tool_id, None)
        if tool is None:
            return
        self.call.cancel_timer(tool["token"] + _DEADLINE)
        if tool["hold"]:
            self.call.cancel_timer(tool["token"] + _HOLD)
        self._tool_output(tool_id, tool, value)
        self._after_tool()

    # What happens.

    def _begin(self, info):
        settings = _parsed(info.settings)
        if not isinstance(settings, dict):
            log(Level.ERROR, "the settings are no JSON object; all are at their defaults")
            settings = {}
        self.tenant = self._tenant_class(info, settings)
        codec = {wit.Encoding.MULAW: "audio/pcmu", wit.Encoding.ALAW: "audio/pcma"}
        if info.format.encoding not in codec:
            log(Level.ERROR, "this line is not G.711; the caller will hear noise")
        self.state["codec"] = codec.get(info.format.encoding, "audio/pcmu")

    def _started(self, info):
        self._begin(info)
        # Whoever takes over without a state finds a caller who was greeted and a voice that was heard.
        self.state["greeted"] = self.state["spoken"] = info.restarted

    def _model_ready(self, _model):
        self._connected()

    def _model_restored(self, _model):
        self.state["spoken"] = False
        self._connected()
        # So that their outputs have something to belong to.
        for tool_id, tool in self.state["tools"].items():
            self.call.model(_function_call(tool_id, tool))
            tool["known"] = True

    def _connected(self):
        self.state["connected"] = True
        self._configure()
        # To the first session there is nothing to tell, unless something was told to nobody.
        for role, text in self.state["transcript"]:
            self.call.model(_message(role, text))

    def _model_lost(self, reason):
        log(Level.WARN, f"the model is lost: {reason}")
        state = self.state
        if state["active"] or state["asked"] or state["caller_speaks"]:
            self.request(None)
        state.update(connected=False, ready=False, active=None, asked=None, busy=False)
        state.update(caller_speaks=False, unheard={})
        for tool in state["tools"].values():
            tool["known"] = False
        # Those items played on, but no session knows them any more.
        for item in state["playing"].values():
            item["known"] = False

    def _session(self):
        """What this tenant wants of the model, but for the voice, which is fixed once it was heard."""
        tenant, codec = self.tenant, {"type": self.state["codec"]}
        return {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": tenant.instructions,
            "audio": {
                "input": {
                    "format": codec,
                    "turn_detection": tenant.turn_detection,
                    "transcription": {"model": "gpt-transcribe"},
                },
                "output": {"format": codec},
            },
            "tools": tenant.tools,
            "tool_choice": "auto",
        }

    def _configure(self):
        session = self._session()
        self.state["configured"] = json.dumps(session)
        if not self.state["spoken"]:
            session["audio"]["output"]["voice"] = self.tenant.voice
        self.call.model({"type": "session.update", "session": session})

    def _model_audio(self, audio):
        state = self.state
        if audio.response in state["dead"]:
            if audio.item not in state["playing"]:
                state["unheard"][audio.item] = [audio.response, audio.content_index]
            return
        item = state["playing"].setdefault(
            audio.item,
            {"response": audio.response, "index": audio.content_index, "bytes": 0, "last": False, "known": True},
        )
        item["bytes"] += len(audio.data)
        state["answered"] = True
        state["spoken"] = True
        self.call.actions.append(wit.Action_Play(wit.Play(audio.item, audio.data, False)))

    def _model_event(self, text):
        event = _parsed(text)
        kind = event.get("type") if isinstance(event, dict) else None
        handler = _MODEL_EVENTS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(self, event)

    def _heard(self, heard):
        self.state["playing"].pop(heard.item, None)

    def _flushed(self, flushed):
        state = self.state
        state["flushing"] = False
        for heard in flushed.items:
            item = state["playing"].pop(heard.item, None)
            if item is None:
                continue
            # G.711 has 8 bytes in a millisecond; the model must not be told of more than it made.
            heard_ms = min(heard.millis, item["bytes"] // 8)
            self.call.publish("agent.interrupted", {"item": heard.item, "heard_ms": heard_ms})
            if item["known"] and state["connected"]:
                self._truncate(heard.item, item["index"], heard_ms)

    def _key(self, key):
        self.tenant.on_key(self.call, key)

    def _timer(self, token):
        if token == _RETRY:
            self.state["busy"] = False
            return
        if token < _TOOLS:
            self.tenant.on_timer(self.call, token)
            return
        tool_id, tool = self._tool_of(token)
        if tool is not None and token % 4 == _HOLD:
            self.call.say(tool["hold"])
        elif tool is not None:
            self.answer_tool(tool_id, {"error": "the answer did not come in time"})

    def _http(self, answer):
        if answer.token < _TOOLS:
            self.tenant.on_http(self.call, answer.token, answer)
            return
        tool_id, tool = self._tool_of(answer.token)
        if tool is None:
            return
        if isinstance(answer, wit.HttpFailure):
            self.answer_tool(tool_id, {"error": f"the service could not be reached: {answer.reason}"})
            return
        text = answer.body.decode(errors="replace")
        if not 200 <= answer.status < 300:
            self.answer_tool(tool_id, {"error": f"the service answered {answer.status}: {text[:500]}"})
            return
        said = _parsed(text)
        self.call.tool_id = tool_id
        made = self.tenant.on_answer(self.call, tool["name"], text if said is None else said)
        if made is not LATER:
            self.answer_tool(tool_id, made)

    def _tool_of(self, token):
        base = token - token % 4
        for tool_id, tool in self.state["tools"].items():
            if tool["token"] == base:
                return tool_id, tool
        return None, None

    def _command(self, text):
        command = _parsed(text)
        if command is None:
            log(Level.WARN, "an operator's command is no JSON")
        else:
            self.tenant.on_command(self.call, command)

    def _refused(self, refusal):
        log(Level.WARN, f"the host refused {refusal.action}: {refusal.reason}")
        # It names no token; the latest request is the one.
        asked = [tool_id for tool_id, tool in self.state["tools"].items() if tool["http"]]
        if refusal.action == "http" and asked:
            self.answer_tool(asked[-1], {"error": f"not allowed here: {refusal.reason}"})

    def _ended(self, how):
        self.tenant.on_ended(self.call, how)

    # What the model's server says.

    def _session_updated(self, _event):
        state = self.state
        state["ready"], state["update_due"] = True, False
        if not state["greeted"] and self.tenant.greeting:
            self.call.say(self.tenant.greeting)
        state["greeted"] = True

    def _speech_started(self, _event):
        state = self.state
        state["caller_speaks"] = True
        state["goodbye"] = None
        if state["ending"]:
            # Before the flush, for a flushed line is a silent one and would be hung up.
            state["ending"] = None
            self.call.actions.append(wit.Action_CancelHangUp())
        if state["active"] and state["active"] not in state["dead"]:
            # The server cancels it by itself; what of its audio is on the way is not for the caller.
            state["dead"] = (state["dead"] + [state["active"]])[-DEAD_RESPONSES_MAX:]
        if state["playing"] and not state["flushing"]:
            state["flushing"] = True
            self.call.actions.append(wit.Action_Flush())

    def _speech_stopped(self, _event):
        # The server answers by itself, so nothing is asked for here.
        self.state["caller_speaks"] = False
        self._update_if_due()

    def _response_created(self, event):
        state = self.state
        if state["asked"] is None:
            # The server's own response answers what the conversation holds by now: the caller's turn is over, whether
            # or not anybody said so.
            state["caller_speaks"] = False
            if None in state["requests"]:
                state["requests"].remove(None)
        # Some servers give no id; there is a response under way all the same.
        active = _object(event, "response").get("id") or "?"
        state.update(active=active, answered=False, asked=None, busy=False)

    def _audio_done(self, event):
        self._last(event.get("item_id"))

    def _item_done(self, event):
        item, state = _object(event, "item"), self.state
        if item.get("type") != "function_call":
            return
        tool_id, name = str(item.get("call_id") or ""), str(item.get("name") or "")
        if tool_id in state["tools_seen"]:
            return
        state["answered"] = True
        state["tools_seen"] = (state["tools_seen"] + [tool_id])[-TOOLS_SEEN_MAX:]
        arguments = item.get("arguments")
        if not isinstance(arguments, dict):
            arguments = _parsed(arguments)
        if not isinstance(arguments, dict):
            arguments = {}
        state["tokens"] += 4
        tool = {"name": name, "arguments": arguments, "token": state["tokens"], "known": True, "http": False, "hold": None}
        if len(state["tools"]) >= TOOLS_OPEN_MAX:
            self._tool_output(tool_id, tool, {"error": "too many tools are running; try again when one is done"})
            self._after_tool()
            return
        state["tools"][tool_id] = tool
        self.call.tool_id = tool_id
        answer = self.tenant.on_tool(self.call, name, arguments)
        if answer is LATER:
            return
        del state["tools"][tool_id]
        self._tool_output(tool_id, tool, answer)
        self._after_tool()

    def _after_tool(self):
        # Who says goodbye or hangs up in a tool has had the last word.
        if not (self.state["goodbye"] or self.state["ending"]):
            self.request(None)

    def _tool_output(self, tool_id, tool, value):
        output = json.dumps(value)[:TOOL_OUTPUT_MAX]
        if tool["known"]:
            item = {"type": "function_call_output", "call_id": tool_id, "output": output}
            self.call.model({"type": "conversation.item.create", "item": item})
            asked = json.dumps(tool["arguments"])
            self.remember("system", f"The function {tool['name']} was called with {asked}. Its result: {output}")
        else:
            self.call.tell(f"Result of {tool['name']}: {output}")

    def _response_done(self, event):
        state, response = self.state, _object(event, "response")
        done = response.get("id")
        for name in [name for name, item in state["playing"].items() if item["response"] == done]:
            self._last(name)
        for name in [name for name, (of, _) in state["unheard"].items() if of == done]:
            self._truncate(name, state["unheard"].pop(name)[1], 0)
        state["active"] = None
        if response.get("usage"):
            self.call.publish("usage", {"response": done, "usage": response["usage"]})
        if response.get("status") == "failed":
            error = _object(_object(response, "status_details"), "error")
            self._failed(error.get("code"))
        elif response.get("status") in ("completed", "incomplete") and not state["answered"]:
            self._silent(response)
        else:
            state["failures"] = 0
            if state["goodbye"] and not state["requests"] and done not in state["dead"]:
                reason, state["goodbye"] = state["goodbye"], None
                self.call.hang_up(reason)
        self._update_if_due()

    def _caller_said(self, event):
        self._said("caller", "user", event)

    def _agent_said(self, event):
        self._said("agent", "assistant", event)

    def _error(self, event):
        error = _object(event, "error")
        state, code = self.state, error.get("code")
        if state["asked"] is not None and error.get("event_id") in (None, state["asked"]["id"]):
            request, state["asked"] = state["asked"]["request"], None
            if code == "conversation_already_has_active_response":
                # Another one began a moment before; this request waits for its end.
                state["busy"] = True
                state["requests"].insert(0, request)
            else:
                self._failed(code)
        log(Level.WARN, f"error of the model's server: {code}")
        self.call.publish("model.error", {"code": code, "message": str(error.get("message"))[:LINE_LENGTH_MAX]})

    # What is done about it.

    def _respond_if_due(self):
        state = self.state
        silent = not (state["active"] or state["asked"] or state["caller_speaks"] or state["busy"])
        # While a flush is under way the model believes that all of it was heard.
        if not (state["ready"] and silent and state["requests"] and not state["flushing"]):
            return
        request = state["requests"].pop(0)
        create = {"type": "response.create"}
        if request is not None:
            create["response"] = {"instructions": request}
        self.call.model(create)
        state["asked"] = {"id": create["event_id"], "request": request}

    def _failed(self, code):
        """Mostly a moment's rate limit: once more, and then the caller is not kept waiting."""
        self.call.publish("response.failed", {"code": code})
        self.state["failures"] += 1
        if self.state["failures"] > 1:
            self.call.hang_up(f"the model failed: {code}")
            return
        self.state["busy"] = True
        self.request(None)
        self.call.set_timer(_RETRY, _RETRY_AFTER_MS)

    def _silent(self, response):
        """A response that brought neither voice nor tool: asked for once more, so that nobody waits for words."""
        reason = _object(response, "status_details").get("reason")
        self.call.publish("response.silent", {"status": response.get("status"), "reason": reason})
        self.state["failures"] += 1
        if self.state["failures"] == 1:
            self.request(None)

    def _last(self, name):
        item = self.state["playing"].get(name)
        if item and not item["last"]:
            item["last"] = True
            if not self.state["flushing"]:
                self.call.actions.append(wit.Action_Play(wit.Play(name, b"", True)))

    def _truncate(self, item, index, heard_ms):
        self.call.model(
            {
                "type": "conversation.item.truncate",
                "item_id": item,
                "content_index": index,
                "audio_end_ms": heard_ms,
            }
        )

    def _said(self, who, role, event):
        text = event.get("transcript")
        if not text or not isinstance(text, str):
            return
        text = text[:LINE_LENGTH_MAX]
        self.remember(role, text)
        self.call.publish(f"transcript.{who}", {"item": event.get("item_id"), "text": text})
        self.tenant.on_transcript(self.call, who, text)

    def _update_if_due(self):
        if self.state["update_due"] and self.state["connected"]:
            self._configure()


def _fresh_state() -> dict:
    """All that a call's turn-taking remembers, as JSON can hold it."""
    return {
        "codec": "audio/pcmu",
        # Events sent so far; the next one's id.
        "events": 0,
        # The session exists; what was asked of it; it is configured; it is to be configured again.
        "connected": False,
        "configured": None,
        "ready": False,
        "update_due": False,
        "greeted": False,
        # The agent was heard in this session, so its voice is fixed.
        "spoken": False,
        # The response under way, the one asked for, and those whose audio is for nobody.
        "active": None,
        "asked": None,
        "busy": False,
        # Whether the response under way brought voice or a tool.
        "answered": False,
        "failures": 0,
        "dead": [],
        # Instructions of responses to come; None is a plain answer.
        "requests": [],
        # Tools whose answer is still to come, by the model's id; ids seen; the last one's timers and request.
        "tools": {},
        "tools_seen": [],
        "tokens": _TOOLS,
        "caller_speaks": False,
        # Items handed over and not yet heard to their end; items of dead responses nobody will hear.
        "playing": {},
        "unheard": {},
        "flushing": False,
        "goodbye": None,
        "ending": None,
        "transcript": [],
    }


def _parsed(text):
    """JSON's value, or None. What is nested without end would take the interpreter's stack with it."""
    if not isinstance(text, str) or text.count("[") + text.count("{") > BRACKETS_MAX:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(of: dict, name: str) -> dict:
    """A field that should hold an object; servers write null and worse."""
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _function_call(tool_id: str, tool: dict) -> dict:
    arguments = json.dumps(tool["arguments"])
    item = {"type": "function_call", "call_id": tool_id, "name": tool["name"], "arguments": arguments}
    return {"type": "conversation.item.create", "item": item}


def _message(role: str, text: str) -> dict:
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return {"type": "conversation.item.create", "item": item}


_HANDLERS = {
    wit.Event_Started: Agent._started,
    wit.Event_CallerKey: Agent._key,
    wit.Event_ModelReady: Agent._model_ready,
    wit.Event_ModelAudio: Agent._model_audio,
    wit.Event_ModelEvent: Agent._model_event,
    wit.Event_ModelLost: Agent._model_lost,
    wit.Event_ModelRestored: Agent._model_restored,
    wit.Event_Heard: Agent._heard,
    wit.Event_Flushed: Agent._flushed,
    wit.Event_Timer: Agent._timer,
    wit.Event_HttpDone: Agent._http,
    wit.Event_HttpFailed: Agent._http,
    wit.Event_Command: Agent._command,
    wit.Event_Refused: Agent._refused,
    wit.Event_Ended: Agent._ended,
}

_MODEL_EVENTS = {
    "session.updated": Agent._session_updated,
    "input_audio_buffer.speech_started": Agent._speech_started,
    "input_audio_buffer.speech_stopped": Agent._speech_stopped,
    "conversation.item.input_audio_transcription.completed": Agent._caller_said,
    "response.created": Agent._response_created,
    "response.output_audio.done": Agent._audio_done,
    "response.output_audio_transcript.done": Agent._agent_said,
    "response.output_item.done": Agent._item_done,
    "response.done": Agent._response_done,
    "error": Agent._error,
}
