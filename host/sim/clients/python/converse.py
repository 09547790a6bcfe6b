"""Holds a conversation with a Realtime server through the official `openai` client.

    converse.py WEBSOCKET_BASE_URL CLIP.ulaw

Greeting, a spoken turn, an interruption with a truncation, a tool call. Every server event is also checked strictly against the
package's types, but for the fields the live service is known to add. Prints one JSON object; ends with status 1 if anything was wrong.
"""

import asyncio
import base64
import json
import sys

from openai import AsyncOpenAI
from validate_events import Validator

# Seen live and absent from the package's types.
LIVE_EXTRAS = {"obfuscation", "id", "object", "expires_at", "event_id"}

SESSION = {
    "type": "realtime",
    "instructions": "You answer the telephone of a bicycle shop.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
    },
    "tools": [
        {
            "type": "function",
            "name": "repair_status",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
        }
    ],
}


class Conversation:
    def __init__(self, connection):
        self.connection = connection
        self.validator = Validator("ga", "server", LIVE_EXTRAS)
        self.problems = []
        self.events = 0
        self.audio = {}
        self.transcripts = {}

    async def until(self, kind):
        """Returns the next event of a type; what comes before it is taken in."""
        while True:
            event = await asyncio.wait_for(self.connection.recv(), 20)
            self.take(event)
            if event.type == kind:
                return event

    def take(self, event):
        self.events += 1
        raw = event.to_dict(mode="json", exclude_unset=True)
        for problem in self.validator.problems(raw):
            self.problems.append(f"{event.type}: {problem}")
        if event.type == "response.output_audio.delta":
            sound = base64.b64decode(event.delta)
            self.audio[event.item_id] = self.audio.get(event.item_id, b"") + sound
        if event.type == "conversation.item.input_audio_transcription.completed":
            self.transcripts[event.item_id] = event.transcript

    async def say(self, ulaw):
        for at in range(0, len(ulaw), 160):
            frame = base64.b64encode(ulaw[at : at + 160]).decode()
            await self.connection.input_audio_buffer.append(audio=frame)


async def converse(url, clip):
    client = AsyncOpenAI(api_key="sk-sim", websocket_base_url=url)
    summary = {}
    async with client.realtime.connect(model="gpt-realtime") as connection:
        talk = Conversation(connection)
        created = await talk.until("session.created")
        summary["voice_at_first"] = created.session.audio.output.voice
        await connection.session.update(session=SESSION)
        updated = await talk.until("session.updated")
        summary["format"] = updated.session.audio.output.format.type

        await connection.response.create()
        done = await talk.until("response.done")
        summary["greeting"] = done.response.output[0].content[0].transcript
        summary["greeting_bytes"] = len(talk.audio[done.response.output[0].id])

        silence = b"\xff" * 8000
        await talk.say(clip + silence)
        await talk.until("input_audio_buffer.committed")
        created = await talk.until("response.created")
        first = await talk.until("response.output_audio.delta")

        # The caller interrupts; 20 ms of the answer were heard.
        await talk.say(clip)
        cancelled = await talk.until("response.done")
        summary["interrupted"] = cancelled.response.status_details.reason
        await connection.conversation.item.truncate(
            item_id=first.item_id, content_index=0, audio_end_ms=20
        )
        truncated = await talk.until("conversation.item.truncated")
        summary["truncated_ms"] = truncated.audio_end_ms

        # The second turn is answered with a tool call.
        await talk.say(silence)
        done = await talk.until("response.done")
        call = done.response.output[0]
        summary["tool"] = [call.name, json.loads(call.arguments)]
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "{\"ready\":true}"}
        )
        await connection.response.create()
        done = await talk.until("response.done")
        summary["after_tool"] = done.response.output[0].content[0].transcript
        if len(talk.transcripts) < 2:
            await talk.until("conversation.item.input_audio_transcription.completed")

        await connection.send({"type": "response.cancel", "event_id": "mine"})
        error = await talk.until("error")
        summary["error"] = [error.error.code, error.error.event_id]
        summary["transcripts"] = list(talk.transcripts.values())
        summary["events"] = talk.events
        summary["problems"] = sorted(set(talk.problems))
    return summary


def main():
    url, path = sys.argv[1:]
    with open(path, "rb") as file:
        clip = file.read()
    summary = asyncio.run(converse(url, clip))
    print(json.dumps(summary))
    return 1 if summary["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
