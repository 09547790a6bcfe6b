"""my-tenant: a voice agent on the telephone.

A tenant is told what happens on one call and answers with what to do. cordboard.py takes care of what is the
same for everybody: greeting, interruptions, transcripts, one response at a time. What is written here is what makes
this one different.
"""

from cordboard import Call, Tenant

# The first words of every call.
GREETING = "Hello, this is my-tenant. How can I help you?"

# What the agent is told to be.
INSTRUCTIONS = (
    "You answer the telephone. Be brief and friendly. When the caller wants to leave a message, "
    "take it with the tool `take_message`."
)


class MyTenant(Tenant):
    instructions = INSTRUCTIONS
    greeting = GREETING
    voice = "marin"
    tools = [
        {
            "type": "function",
            "name": "take_message",
            "description": "Takes a message.",
            "parameters": {
                "type": "object",
                "properties": {"text": {"type": "string", "description": "the message, word for word"}},
                "required": ["text"],
            },
        }
    ]

    def __init__(self, info, settings: dict):
        self.operator = settings.get("operator")
        self.message_url = settings.get("message_url")
        self.messages: list[str] = []

    def on_key(self, call: Call, key: str):
        if key == "0" and self.operator:
            call.transfer(self.operator)
        elif key == "0":
            call.say("I am sorry, nobody is free right now.")

    def on_tool(self, call: Call, name: str, arguments: dict):
        text = arguments.get("text")
        if not isinstance(text, str):
            return {"error": "the message is missing"}
        self.messages.append(text)
        # Of a publication the gateway's log has the topic, and its words at DEBUG alone.
        call.publish("message.taken", {"text": text})
        if self.message_url:
            # A server is to have it: its answer becomes the tool's, and a caller who waits for it hears why.
            return call.ask("POST", self.message_url, {"text": text}, hold="One moment, I am passing that on.")
        return {"taken": len(self.messages)}

    def save(self):
        return self.messages

    def load(self, state):
        self.messages = [str(message) for message in state]
