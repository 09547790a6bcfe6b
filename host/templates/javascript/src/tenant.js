// my-tenant: a voice agent on the telephone.
//
// A tenant is told what happens on one call and answers with what to do. cordboard.js takes care of what is the same
// for everybody: greeting, interruptions, transcripts, one response at a time. What is written here is what makes
// this one different.

import { Tenant } from './cordboard.js';

/** The first words of every call. */
export const GREETING = 'Hello, this is my-tenant. How can I help you?';

/** What the agent is told to be. */
const INSTRUCTIONS =
  'You answer the telephone. Be brief and friendly. When the caller wants to leave a message, ' +
  'take it with the tool `take_message`.';

export class MyTenant extends Tenant {
  instructions = INSTRUCTIONS;
  greeting = GREETING;
  voice = 'marin';
  tools = [
    {
      type: 'function',
      name: 'take_message',
      description: 'Takes a message.',
      parameters: {
        type: 'object',
        properties: { text: { type: 'string', description: 'the message, word for word' } },
        required: ['text'],
      },
    },
  ];

  constructor(info, settings) {
    super(info, settings);
    this.operator = settings.operator ?? null;
    this.messageUrl = settings.message_url ?? null;
    this.messages = [];
  }

  onKey(call, key) {
    if (key !== '0') return;
    if (this.operator) call.transfer(this.operator);
    else call.say('I am sorry, nobody is free right now.');
  }

  onTool(call, name, args) {
    if (typeof args.text !== 'string') return { error: 'the message is missing' };
    this.messages.push(args.text);
    // Of a publication the gateway's log has the topic, and its words at DEBUG alone.
    call.publish('message.taken', { text: args.text });
    if (this.messageUrl) {
      // A server is to have it: its answer becomes the tool's, and a caller who waits for it hears why.
      return call.ask('POST', this.messageUrl, { value: { text: args.text }, hold: 'One moment, I am passing that on.' });
    }
    return { taken: this.messages.length };
  }

  save() {
    return this.messages;
  }

  load(state) {
    this.messages = state.map(String);
  }
}
