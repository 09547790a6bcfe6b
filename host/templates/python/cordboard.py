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
WISHES_MAX = 8
BRACKETS_MAX = 1_000
# Timers below this number are the tenant's.
_RETRY = 1_000_000
_RETRY_AFTER_MS = 1_000
_GOODBYE_DEADLINE_MS = 10_000


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
        """The model called a tool; what is returned becomes JSON and its answer."""
        return {"error": f"there is no tool named {name}"}

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

    def say(self, words: str):
        """Has the agent say exactly this, as soon as nobody else speaks."""
        self.prompt(f"Now say exactly this and nothing else:\n{words}")

    def prompt(self, instructions: str):
        """Has the agent respond to instructions of the moment."""
        own = self._agent.tenant.instructions
        self._agent.wish(f"{own}\n\n{instructions}")

    def tell(self, text: str):
        """Adds a note to the conversation, without asking for a response."""
        self.model(_message("user", text))

    def respond(self):
        """Has the agent answer the conversation as it stands."""
        self._agent.wish(None)

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

    def wish(self, instructions):
        wishes = self.state["wishes"]
        if instructions in wishes or len(wishes) >= WISHES_MAX:
            return
        wishes.append(instructions)

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
        self.state["connected"] = True
        self._configure()

    def _model_restored(self, _model):
        self.state["connected"] = True
        self.state["spoken"] = False
        self._configure()
        for role, text in self.state["transcript"]:
            self.call.model(_message(role, text))

    def _model_lost(self, reason):
        log(Level.WARN, f"the model is lost: {reason}")
        state = self.state
        if state["active"] or state["asked"] or state["caller_speaks"]:
            self.wish(None)
        state.update(connected=False, ready=False, active=None, asked=None, busy=False)
        state.update(caller_speaks=False, unheard={})
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
        else:
            self.tenant.on_timer(self.call, token)

    def _http(self, answer):
        self.tenant.on_http(self.call, answer.token, answer)

    def _command(self, text):
        command = _parsed(text)
        if command is None:
            log(Level.WARN, "an operator's command is no JSON")
        else:
            self.tenant.on_command(self.call, command)

    def _refused(self, refusal):
        log(Level.WARN, f"the host refused {refusal.action}: {refusal.reason}")

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
        if state["asked"] is None and None in state["wishes"]:
            # The server's own response answers what the conversation holds by now.
            state["wishes"].remove(None)
        state.update(active=_object(event, "response").get("id"), asked=None, busy=False)

    def _audio_done(self, event):
        self._last(event.get("item_id"))

    def _item_done(self, event):
        item = _object(event, "item")
        if item.get("type") != "function_call":
            return
        arguments = _parsed(item.get("arguments"))
        if not isinstance(arguments, dict):
            arguments = {}
        answer = self.tenant.on_tool(self.call, item.get("name") or "", arguments)
        output = {"type": "function_call_output", "call_id": item.get("call_id"), "output": json.dumps(answer)}
        self.call.model({"type": "conversation.item.create", "item": output})
        self.wish(None)

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
        else:
            state["failures"] = 0
            if state["goodbye"] and not state["wishes"] and done not in state["dead"]:
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
            wish, state["asked"] = state["asked"]["wish"], None
            if code == "conversation_already_has_active_response":
                # Another one began a moment before; this wish waits for its end.
                state["busy"] = True
                state["wishes"].insert(0, wish)
            else:
                self._failed(code)
        log(Level.WARN, f"error of the model's server: {code}")
        self.call.publish("model.error", {"code": code, "message": str(error.get("message"))[:LINE_LENGTH_MAX]})

    # What is done about it.

    def _respond_if_due(self):
        state = self.state
        silent = not (state["active"] or state["asked"] or state["caller_speaks"] or state["busy"])
        # While a flush is under way the model believes that all of it was heard.
        if not (state["ready"] and silent and state["wishes"] and not state["flushing"]):
            return
        wish = state["wishes"].pop(0)
        create = {"type": "response.create"}
        if wish is not None:
            create["response"] = {"instructions": wish}
        self.call.model(create)
        state["asked"] = {"id": create["event_id"], "wish": wish}

    def _failed(self, code):
        """Mostly a moment's rate limit: once more, and then the caller is not kept waiting."""
        self.call.publish("response.failed", {"code": code})
        self.state["failures"] += 1
        if self.state["failures"] > 1:
            self.call.hang_up(f"the model failed: {code}")
            return
        self.state["busy"] = True
        self.wish(None)
        self.call.set_timer(_RETRY, _RETRY_AFTER_MS)

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
        self.state["transcript"] = (self.state["transcript"] + [[role, text]])[-TRANSCRIPT_LINES_MAX:]
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
        "failures": 0,
        "dead": [],
        # Instructions of responses to come; None is a plain answer.
        "wishes": [],
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
