// Tries the tenant natively, with no phone and no model: `npm test`.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Agent, Tenant } from '../src/cordboard.js';
import { GREETING, MyTenant } from '../src/tenant.js';

const FRAME = new Uint8Array(160);

/** A call under test: hands events in and keeps what comes out. */
class Line {
  now = 0;
  calls = 0;
  asked = [];

  constructor(settings = {}, tenant = MyTenant) {
    this.tenant = tenant;
    this.agent = new Agent(tenant, () => {});
    this.info = {
      callId: 'CA1',
      caller: null,
      callee: null,
      format: { encoding: 'mulaw', sampleRate: 8000, channels: 1 },
      parameters: [],
      settings: JSON.stringify(settings),
      restarted: false,
    };
    this.tell('started', this.info);
  }

  tell(tag, val) {
    this.now += 20;
    const actions = this.agent.handle(this.now, { tag, val });
    this.asked.push(...actions);
    return actions;
  }

  model(type, fields = {}) {
    return this.tell('model-event', JSON.stringify({ type, ...fields }));
  }

  greeted() {
    this.tell('model-ready', { session: 'sess_1', model: 'gpt-realtime', dialect: 'ga' });
    this.model('session.updated', { session: {} });
    this.says('resp_1', 'item_1', 2000);
    return this;
  }

  says(response, item, ms) {
    this.model('response.created', { response: { id: response } });
    this.tell('model-audio', { response, item, contentIndex: 0, data: new Uint8Array(8 * ms) });
    this.model('response.output_audio.done', { item_id: item });
    this.model('response.done', { response: { id: response, status: 'completed' } });
  }

  callsTool(name, args) {
    this.calls += 1;
    const item = { type: 'function_call', name, call_id: `call_${this.calls}`, arguments: JSON.stringify(args) };
    this.model('response.created', { response: { id: 'resp_t' } });
    this.model('response.output_item.done', { item });
    this.model('response.done', { response: { id: 'resp_t', status: 'completed' } });
  }

  swap() {
    const state = JSON.parse(JSON.stringify(this.agent.save()));
    this.agent = new Agent(this.tenant, () => {});
    this.agent.load(this.info, state);
  }

  /** What the model was told of its tools, in order. */
  outputs() {
    const items = this.sent('conversation.item.create').map(({ item }) => item);
    return items.filter(({ type }) => type === 'function_call_output').map(({ output }) => JSON.parse(output));
  }

  /** Lets the latest timer of a kind fire: 0 holds, 1 gives up. */
  fires(kind) {
    this.tell('timer', BigInt(this.of('set-timer').filter(({ token }) => token % 4 === kind).at(-1).token));
  }

  serves(status, body) {
    const token = BigInt(this.of('http').at(-1).token);
    this.tell('http-done', { token, status, headers: [], body: new TextEncoder().encode(body) });
  }

  of(tag) {
    return this.asked.filter((action) => action.tag === tag).map((action) => action.val);
  }

  sent(type) {
    return this.of('model-event').map((text) => JSON.parse(text)).filter((event) => event.type === type);
  }
}

test('the caller is greeted in these very words', () => {
  const line = new Line().greeted();
  assert.ok(line.sent('response.create')[0].response.instructions.includes(GREETING));
  assert.equal(line.of('play').at(-1).last, true);
});

test("the caller's frames reach the model untouched", () => {
  const line = new Line().greeted();
  assert.deepEqual(line.tell('caller-audio', FRAME), [{ tag: 'model-audio', val: FRAME }]);
  const { audio } = line.sent('session.update')[0].session;
  assert.deepEqual([audio.input.format, audio.output.format], [{ type: 'audio/pcmu' }, { type: 'audio/pcmu' }]);
});

test('who interrupts is listened to, and the model learns what was heard', () => {
  const line = new Line().greeted();
  line.model('input_audio_buffer.speech_started', { item_id: 'item_u1' });
  assert.equal(line.of('flush').length, 1);
  line.tell('flushed', { items: [{ item: 'item_1', millis: 700, complete: false }], marks: [] });
  assert.equal(line.sent('conversation.item.truncate')[0].audio_end_ms, 700);
});

test('late audio of an interrupted response is for nobody', () => {
  const line = new Line().greeted();
  line.tell('heard', { item: 'item_1', millis: 2000, complete: true });
  line.model('response.created', { response: { id: 'resp_2' } });
  line.model('input_audio_buffer.speech_started', { item_id: 'item_u1' });
  const late = { response: 'resp_2', item: 'item_2', contentIndex: 0, data: FRAME };
  assert.deepEqual(line.tell('model-audio', late), []);
  line.model('response.done', { response: { id: 'resp_2', status: 'cancelled' } });
  assert.equal(line.sent('conversation.item.truncate')[0].audio_end_ms, 0);
});

test('zero rings the operator', () => {
  const line = new Line({ operator: '+15550100' }).greeted();
  line.tell('caller-key', '0');
  assert.equal(line.of('transfer')[0].to, '+15550100');
});

test('messages are taken and survive a new version in mid-call', () => {
  const line = new Line().greeted();
  line.callsTool('take_message', { text: 'the first' });
  line.swap();
  line.callsTool('take_message', { text: 'the second' });
  const outputs = line.sent('conversation.item.create').map((event) => JSON.parse(event.item.output));
  assert.deepEqual(outputs, [{ taken: 1 }, { taken: 2 }]);
});

test("a tool's answer is asked for when its response is over", () => {
  const line = new Line().greeted();
  const before = line.sent('response.create').length;
  line.callsTool('take_message', { text: 'call me back' });
  assert.equal(line.sent('response.create').length, before + 1);
});

test('odd events of the model end nothing', () => {
  const line = new Line().greeted();
  for (const odd of ['', '[]', '{}', '{"type": null}']) line.tell('model-event', odd);
  for (const type of ['session.updated', 'response.created', 'response.output_item.done', 'response.done', 'error']) {
    line.model(type, { response: null, item: 'none', error: [], transcript: 7, item_id: null });
  }
  assert.deepEqual(line.of('hang-up'), []);
});

test('a new session of the model is told what was said', () => {
  const line = new Line().greeted();
  line.model('response.output_audio_transcript.done', { item_id: 'item_1', transcript: GREETING });
  line.tell('model-lost', 'reset');
  line.tell('model-restored', { session: 'sess_2', model: 'gpt-realtime', dialect: 'ga' });
  const told = line.sent('conversation.item.create')[0].item;
  assert.deepEqual([told.role, told.content[0].text], ['assistant', GREETING]);
  assert.equal(line.sent('session.update').length, 2);
});

/** A tenant whose tools wait for others. */
class Salon extends Tenant {
  onTool(call, name, args) {
    if (name === 'book') {
      return call.ask('POST', 'https://salon.example/book', { value: args, hold: 'One moment, please.' });
    }
    if (name === 'farewell') {
      call.sayGoodbye('Goodbye.', 'done');
      return { ok: true };
    }
    return call.later({ timeoutMs: 5_000 });
  }

  onAnswer(call, name, answer) {
    return { bookedAt: answer.time };
  }
}

test('a new session is told of notes and of tools with what they brought, in order', () => {
  const line = new Line().greeted();
  line.agent.call.tell('The caller typed 4711.');
  line.callsTool('take_message', { text: 'call me back' });
  line.tell('model-lost', 'reset');
  const before = line.sent('conversation.item.create').length;
  line.agent.call.tell('The caller typed 99.');
  line.tell('caller-audio', FRAME);
  line.tell('model-restored', { session: 'sess_2', model: 'gpt-realtime', dialect: 'ga' });
  const told = line.sent('conversation.item.create').slice(before).map((event) => event.item.content[0].text);
  assert.equal(told.length, 3);
  assert.equal(told[0], 'The caller typed 4711.');
  assert.match(told[1], /take_message.*call me back.*taken/);
  assert.equal(told[2], 'The caller typed 99.');
});

test('a tool that asks a server answers with what the server said', () => {
  const line = new Line({}, Salon).greeted();
  const before = line.sent('response.create').length;
  line.callsTool('book', { day: 'Freitag für zwölf' });
  assert.deepEqual(JSON.parse(new TextDecoder().decode(line.of('http')[0].body)), { day: 'Freitag für zwölf' });
  assert.deepEqual([line.outputs(), line.sent('response.create').length], [[], before]);
  line.swap();
  line.serves(200, '{"time": "halb elf, 100 % schön 🙂"}');
  assert.deepEqual(line.outputs(), [{ bookedAt: 'halb elf, 100 % schön 🙂' }]);
  assert.equal(line.sent('response.create').length, before + 1);
});

test('a caller who waits is told so', () => {
  const line = new Line({}, Salon).greeted();
  line.callsTool('book', {});
  line.fires(0);
  assert.ok(line.sent('response.create').at(-1).response.instructions.includes('One moment, please.'));
});

test('a server that fails or is late is an answer too', () => {
  for (const tell of [
    (line) => line.serves(503, 'closed'),
    (line) => line.fires(1),
    (line) => line.tell('refused', { action: 'http', reason: 'not on the list' }),
    (line) => line.tell('http-failed', { token: BigInt(line.of('http').at(-1).token), reason: 'reset' }),
  ]) {
    const line = new Line({}, Salon).greeted();
    line.callsTool('book', {});
    tell(line);
    assert.equal(line.outputs().length, 1);
    assert.ok('error' in line.outputs()[0]);
  }
});

test('an answer by hand counts once, and its deadline no more', () => {
  const line = new Line({}, Salon).greeted();
  line.callsTool('wait', {});
  line.agent.call.answerTool('call_1', 'done');
  line.agent.call.answerTool('call_1', 'again');
  line.fires(1);
  assert.deepEqual(line.outputs(), ['done']);
});

test('a new session is told of tools that still wait', () => {
  const line = new Line({}, Salon).greeted();
  line.callsTool('book', {});
  line.tell('model-lost', 'reset');
  line.tell('model-restored', { session: 'sess_2', model: 'gpt-realtime', dialect: 'ga' });
  const { item } = line.sent('conversation.item.create').at(-1);
  assert.deepEqual([item.type, item.call_id], ['function_call', 'call_1']);
});

test('a goodbye in a tool is said once', () => {
  const line = new Line({}, Salon).greeted();
  const before = line.sent('response.create').length;
  line.callsTool('farewell', {});
  line.says('resp_bye', 'item_bye', 500);
  assert.equal(line.sent('response.create').length, before + 1);
  assert.equal(line.of('hang-up').length, 1);
});

test('a response without voice is asked for once more', () => {
  const line = new Line().greeted();
  const before = line.sent('response.create').length;
  for (const id of ['resp_2', 'resp_3']) {
    line.model('response.created', { response: { id } });
    line.model('response.done', { response: { id, status: 'incomplete' } });
  }
  assert.equal(line.sent('response.create').length, before + 1);
});
