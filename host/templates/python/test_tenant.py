"""Tries the tenant natively, with no phone and no model: `.venv/bin/python -m unittest`.

The types of events and actions are those of bindings/, which `componentize-py bindings` writes.
"""

import json
import sys
import unittest
from unittest import mock

sys.path.insert(0, "bindings")

from wit_world.imports import log as host_log
from wit_world.imports import types as wit

# Inside a component the host answers this import.
host_log.log = mock.Mock()

import cordboard
from tenant import GREETING, MyTenant

FRAME = bytes(160)


class Line:
    """A call under test: hands events in and keeps what comes out."""

    def __init__(self, settings=None, tenant=MyTenant):
        self.tenant = tenant
        self.agent = cordboard.Agent(tenant)
        self.now = 0
        self.calls = 0
        self.asked: list = []
        self.info = wit.CallInfo(
            "CA1", "MZ1", "my-tenant", "v1", wit.Direction.INBOUND, None, None,
            wit.AudioFormat(wit.Encoding.MULAW, 8000, 1), [], json.dumps(settings or {}), False,
        )
        self.tell(wit.Event_Started(self.info))

    def tell(self, event):
        self.now += 20
        actions = self.agent.handle(self.now, event)
        self.asked += actions
        return actions

    def model(self, kind, **fields):
        return self.tell(wit.Event_ModelEvent(json.dumps({"type": kind, **fields})))

    def greeted(self):
        self.tell(wit.Event_ModelReady(wit.ModelInfo("sess_1", "gpt-realtime", wit.Dialect.GA)))
        self.model("session.updated", session={})
        self.says("resp_1", "item_1", 2_000)
        return self

    def says(self, response, item, ms):
        self.model("response.created", response={"id": response})
        self.tell(wit.Event_ModelAudio(wit.ModelAudio(response, item, 0, bytes(8 * ms))))
        self.model("response.output_audio.done", item_id=item)
        self.model("response.done", response={"id": response, "status": "completed"})

    def calls_tool(self, name, arguments):
        self.calls += 1
        item = {
            "type": "function_call",
            "name": name,
            "call_id": f"call_{self.calls}",
            "arguments": json.dumps(arguments),
        }
        self.model("response.created", response={"id": "resp_t"})
        self.model("response.output_item.done", item=item)
        self.model("response.done", response={"id": "resp_t", "status": "completed"})

    def swap(self):
        state = json.loads(json.dumps(self.agent.save()))
        self.agent = cordboard.Agent(self.tenant)
        self.agent.load(self.info, state)

    def sent(self, kind):
        events = [json.loads(it.value) for it in self.asked if isinstance(it, wit.Action_ModelEvent)]
        return [event for event in events if event["type"] == kind]

    def outputs(self):
        """What the model was told of its tools, in order."""
        items = [event["item"] for event in self.sent("conversation.item.create")]
        return [json.loads(it["output"]) for it in items if it["type"] == "function_call_output"]

    def fires(self, kind):
        """Lets the latest timer of a kind fire: 0 holds, 1 gives up."""
        timers = [it.token for it in self.of(wit.Action_SetTimer) if it.token % 4 == kind]
        self.tell(wit.Event_Timer(timers[-1]))

    def serves(self, status, body):
        token = self.of(wit.Action_Http)[-1].token
        self.tell(wit.Event_HttpDone(wit.HttpResponse(token, status, [], body)))

    def of(self, action):
        return [getattr(it, "value", None) for it in self.asked if isinstance(it, action)]


class TenantTest(unittest.TestCase):
    def test_the_caller_is_greeted_in_these_very_words(self):
        line = Line().greeted()
        self.assertIn(GREETING, line.sent("response.create")[0]["response"]["instructions"])
        self.assertEqual(line.of(wit.Action_Play)[-1].last, True)

    def test_the_callers_frames_reach_the_model_untouched(self):
        line = Line().greeted()
        self.assertEqual(line.tell(wit.Event_CallerAudio(FRAME)), [wit.Action_ModelAudio(FRAME)])
        audio = line.sent("session.update")[0]["session"]["audio"]
        self.assertEqual(audio["input"]["format"], {"type": "audio/pcmu"})
        self.assertEqual(audio["output"]["format"], {"type": "audio/pcmu"})

    def test_who_interrupts_is_listened_to_and_the_model_learns_what_was_heard(self):
        line = Line().greeted()
        line.model("input_audio_buffer.speech_started", item_id="item_u1")
        self.assertEqual(len(line.of(wit.Action_Flush)), 1)
        line.tell(wit.Event_Flushed(wit.Flushed([wit.Heard("item_1", 700, False)], [])))
        self.assertEqual(line.sent("conversation.item.truncate")[0]["audio_end_ms"], 700)

    def test_late_audio_of_an_interrupted_response_is_for_nobody(self):
        line = Line().greeted()
        line.tell(wit.Event_Heard(wit.Heard("item_1", 2_000, True)))
        line.model("response.created", response={"id": "resp_2"})
        line.model("input_audio_buffer.speech_started", item_id="item_u1")
        late = wit.Event_ModelAudio(wit.ModelAudio("resp_2", "item_2", 0, FRAME))
        self.assertEqual(line.tell(late), [])
        line.model("response.done", response={"id": "resp_2", "status": "cancelled"})
        self.assertEqual(line.sent("conversation.item.truncate")[0]["audio_end_ms"], 0)

    def test_zero_rings_the_operator(self):
        line = Line({"operator": "+15550100"}).greeted()
        line.tell(wit.Event_CallerKey("0"))
        self.assertEqual(line.of(wit.Action_Transfer)[0].to, "+15550100")

    def test_messages_are_taken_and_survive_a_new_version_in_mid_call(self):
        line = Line().greeted()
        line.calls_tool("take_message", {"text": "the first"})
        line.swap()
        line.calls_tool("take_message", {"text": "the second"})
        outputs = [event["item"]["output"] for event in line.sent("conversation.item.create")]
        self.assertEqual([json.loads(output) for output in outputs], [{"taken": 1}, {"taken": 2}])

    def test_a_tools_answer_is_asked_for_when_its_response_is_over(self):
        line = Line().greeted()
        before = len(line.sent("response.create"))
        line.calls_tool("take_message", {"text": "call me back"})
        self.assertEqual(len(line.sent("response.create")), before + 1)

    def test_odd_events_of_the_model_end_nothing(self):
        line = Line().greeted()
        for odd in ["", "[]", "{}", '{"type": null}', '{"type": "error", "error": "none"}']:
            line.tell(wit.Event_ModelEvent(odd))
        for kind in cordboard._MODEL_EVENTS:
            line.model(kind, response=None, item=None, error=[], transcript=7, item_id=None)
        self.assertEqual(line.of(wit.Action_HangUp), [])

    def test_a_new_session_is_told_of_notes_and_of_tools_with_what_they_brought_in_order(self):
        line = Line().greeted()
        line.agent.call.tell("The caller typed 4711.")
        line.calls_tool("take_message", {"text": "call me back"})
        line.tell(wit.Event_ModelLost("reset"))
        before = len(line.sent("conversation.item.create"))
        line.agent.call.tell("The caller typed 99.")
        line.tell(wit.Event_ModelRestored(wit.ModelInfo("sess_2", "gpt-realtime", wit.Dialect.GA)))
        told = line.sent("conversation.item.create")[before:]
        texts = [event["item"]["content"][0]["text"] for event in told]
        self.assertEqual([texts[0], texts[-1]], ["The caller typed 4711.", "The caller typed 99."])
        self.assertRegex(texts[1], "take_message.*call me back.*taken")
        self.assertEqual(len(texts), 3)

    def test_a_new_model_session_is_told_what_was_said(self):
        line = Line().greeted()
        line.model("response.output_audio_transcript.done", item_id="item_1", transcript=GREETING)
        line.tell(wit.Event_ModelLost("reset"))
        line.tell(wit.Event_ModelRestored(wit.ModelInfo("sess_2", "gpt-realtime", wit.Dialect.GA)))
        told = line.sent("conversation.item.create")[0]["item"]
        self.assertEqual((told["role"], told["content"][0]["text"]), ("assistant", GREETING))
        self.assertEqual(len(line.sent("session.update")), 2)


class Salon(cordboard.Tenant):
    """A tenant whose tools wait for others."""

    def on_tool(self, call, name, arguments):
        if name == "book":
            return call.ask("POST", "https://salon.example/book", arguments, hold="One moment, please.")
        if name == "farewell":
            call.say_goodbye("Goodbye.", "done")
            return {"ok": True}
        return call.later(timeout_ms=5_000)

    def on_answer(self, call, name, answer):
        return {"booked_at": answer["time"]}


class LaterTest(unittest.TestCase):
    def test_a_tool_that_asks_a_server_answers_with_what_the_server_said(self):
        line = Line(tenant=Salon).greeted()
        before = len(line.sent("response.create"))
        line.calls_tool("book", {"day": "Friday"})
        self.assertEqual(json.loads(line.of(wit.Action_Http)[0].body), {"day": "Friday"})
        self.assertEqual((line.outputs(), len(line.sent("response.create"))), ([], before))
        line.swap()
        line.serves(200, b'{"time": "10:30"}')
        self.assertEqual(line.outputs(), [{"booked_at": "10:30"}])
        self.assertEqual(len(line.sent("response.create")), before + 1)

    def test_a_caller_who_waits_is_told_so(self):
        line = Line(tenant=Salon).greeted()
        line.calls_tool("book", {})
        line.fires(0)
        self.assertIn("One moment, please.", line.sent("response.create")[-1]["response"]["instructions"])

    def test_a_server_that_fails_or_is_late_is_an_answer_too(self):
        for tell in [
            lambda line: line.serves(503, b"closed"),
            lambda line: line.fires(1),
            lambda line: line.tell(wit.Event_Refused(wit.Refusal("http", "not on the list"))),
            lambda line: line.tell(wit.Event_HttpFailed(wit.HttpFailure(line.of(wit.Action_Http)[-1].token, "reset"))),
        ]:
            line = Line(tenant=Salon).greeted()
            line.calls_tool("book", {})
            tell(line)
            self.assertIn("error", line.outputs()[0])
            self.assertEqual(len(line.outputs()), 1)

    def test_an_answer_by_hand_counts_once_and_its_deadline_no_more(self):
        line = Line(tenant=Salon).greeted()
        line.calls_tool("wait", {})
        for _ in range(2):
            line.agent.call.answer_tool("call_1", "done")
        line.fires(1)
        self.assertEqual(line.outputs(), ["done"])

    def test_a_new_session_is_told_of_tools_that_still_wait(self):
        line = Line(tenant=Salon).greeted()
        line.calls_tool("book", {"day": "Friday"})
        line.tell(wit.Event_ModelLost("reset"))
        line.tell(wit.Event_ModelRestored(wit.ModelInfo("sess_2", "gpt-realtime", wit.Dialect.GA)))
        told = line.sent("conversation.item.create")[-1]["item"]
        self.assertEqual((told["type"], told["call_id"]), ("function_call", "call_1"))

    def test_a_goodbye_in_a_tool_is_said_once(self):
        line = Line(tenant=Salon).greeted()
        before = len(line.sent("response.create"))
        line.calls_tool("farewell", {})
        line.says("resp_bye", "item_bye", 500)
        self.assertEqual(len(line.sent("response.create")), before + 1)
        self.assertEqual(len(line.of(wit.Action_HangUp)), 1)

    def test_a_response_without_voice_is_asked_for_once_more(self):
        line = Line().greeted()
        before = len(line.sent("response.create"))
        for response in ["resp_2", "resp_3"]:
            line.model("response.created", response={"id": response})
            line.model("response.done", response={"id": response, "status": "incomplete"})
        self.assertEqual(len(line.sent("response.create")), before + 1)


if __name__ == "__main__":
    unittest.main()
