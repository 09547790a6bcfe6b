// OpenAI's own Twilio bridge between our two simulators.
//
//     node bridge.mjs MODEL_URL
//
// Serves a Twilio media stream on a free loopback port, prints "listening ws://…", and joins each stream to the model with
// TwilioRealtimeTransportLayer, as OpenAI's example does. Prints one JSON line for each thing worth asserting on.

import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents/realtime';
import { TwilioRealtimeTransportLayer } from '@openai/agents-extensions';
import { WebSocketServer } from 'ws';
import { z } from 'zod';

const modelUrl = process.argv[2];
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const repairStatus = tool({
  name: 'repair_status',
  description: 'Looks up whether a repair is ready.',
  parameters: z.object({ number: z.string() }),
  execute: async ({ number }) => {
    say({ tool: 'repair_status', number });
    return JSON.stringify({ number, ready: true });
  },
});

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('listening', () => say({ listening: `ws://127.0.0.1:${server.address().port}/stream` }));
server.on('connection', async (twilioWebSocket) => {
  const agent = new RealtimeAgent({
    name: 'Harbour Cycles',
    instructions: 'You answer the telephone of a bicycle shop.',
    tools: [repairStatus],
  });
  const transport = new TwilioRealtimeTransportLayer({ twilioWebSocket });
  const session = new RealtimeSession(agent, {
    transport,
    model: 'gpt-realtime',
    config: {
      audio: {
        input: {
          transcription: { model: 'gpt-transcribe' },
          turnDetection: { type: 'server_vad', silenceDurationMs: 400, interruptResponse: true },
        },
      },
    },
  });
  session.on('error', (error) => say({ error: String(error?.error?.message ?? JSON.stringify(error)) }));
  session.on('audio_interrupted', () => say({ interrupted: true }));
  transport.on('*', (event) => {
    if (event.type === 'conversation.item.truncated') say({ truncated: event.audio_end_ms });
    if (event.type === 'conversation.item.input_audio_transcription.completed') say({ heard: event.transcript });
    if (event.type === 'response.output_audio_transcript.done') say({ said: event.transcript });
  });
  twilioWebSocket.on('close', () => say({ closed: true }));
  await session.connect({ apiKey: 'sk-sim', url: modelUrl });
  say({ connected: true });
  // The agent speaks first.
  transport.sendEvent({ type: 'response.create' });
});
