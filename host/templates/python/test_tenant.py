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

    def __init__(self, settings=None):
        self.agent = cordboard.Agent(MyTenant)
        self.now = 0
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
        item = {"type": "function_call", "name": name, "call_id": "call_1", "arguments": json.dumps(arguments)}
        self.model("response.created", response={"id": "resp_t"})
        self.model("response.output_item.done", item=item)
        self.model("response.done", response={"id": "resp_t", "status": "completed"})

    def swap(self):
        state = json.loads(json.dumps(self.agent.save()))
        self.agent = cordboard.Agent(MyTenant)
        self.agent.load(self.info, state)

    def sent(self, kind):
        events = [json.loads(it.value) for it in self.asked if isinstance(it, wit.Action_ModelEvent)]
        return [event for event in events if event["type"] == kind]

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

    def test_a_new_model_session_is_told_what_was_said(self):
        line = Line().greeted()
        line.model("response.output_audio_transcript.done", item_id="item_1", transcript=GREETING)
        line.tell(wit.Event_ModelLost("reset"))
        line.tell(wit.Event_ModelRestored(wit.ModelInfo("sess_2", "gpt-realtime", wit.Dialect.GA)))
        told = line.sent("conversation.item.create")[0]["item"]
        self.assertEqual((told["role"], told["content"][0]["text"]), ("assistant", GREETING))
        self.assertEqual(len(line.sent("session.update")), 2)


if __name__ == "__main__":
    unittest.main()
