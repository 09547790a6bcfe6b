// The part of a voice agent that is the same for everybody.
//
// One rule: **audio passes through.** Caller and model speak the telephone's own G.711, so no loop over samples ever
// runs in the interpreter. All else is turn-taking: one response at a time, silence for a caller who interrupts, and
// the model told what was really heard.
//
// The contract is wit/tenant.wit. Its records are plain objects with camelCase names, its variants
// `{ tag, val }`, its enums strings, its options a value or null.

/** @typedef {{ encoding: 'mulaw' | 'alaw' | 'pcm16', sampleRate: number, channels: number }} AudioFormat */
/**
 * @typedef {object} CallInfo
 * @property {string} callId
 * @property {string | null} caller
 * @property {string | null} callee
 * @property {AudioFormat} format
 * @property {Array<[string, string]>} parameters untrusted: whoever starts a stream can write them
 * @property {string} settings the JSON of tenant.toml's [settings]
 * @property {boolean} restarted
 */
/** @typedef {{ tag: string, val?: any }} Event */
/** @typedef {{ tag: string, val?: any }} Action */
/** @typedef {(level: 'trace' | 'debug' | 'info' | 'warn' | 'error', message: string) => void} Log */

// Bounds, so that a long call stays small and its state quick to hand over.
const TRANSCRIPT_LINES_MAX = 40;
const LINE_LENGTH_MAX = 1_000;
const DEAD_RESPONSES_MAX = 16;
const REQUESTS_MAX = 8;
const BRACKETS_MAX = 1_000;
const TOOLS_OPEN_MAX = 16;
const TOOLS_SEEN_MAX = 64;
const TOOL_OUTPUT_MAX = 16_000;
// Timers and HTTP tokens below this number are the tenant's.
const RETRY = 1_000_000;
// From here on, four to a tool that is answered later: its hold phrase, its deadline, its HTTP request.
const TOOLS = 2_000_000;
const HOLD = 0;
const DEADLINE = 1;
const REQUEST = 2;

/** What `call.later` and `call.ask` return: the answer comes another time. */
export const LATER = Symbol('later');
const RETRY_AFTER_MS = 1_000;
const GOODBYE_DEADLINE_MS = 10_000;

/** What makes one tenant different. Everything has a default. */
export class Tenant {
  instructions = 'You are a friendly assistant on the telephone. Keep your answers short.';
  /** The first words, said exactly; null lets the caller speak first. @type {string | null} */
  greeting = null;
  voice = 'marin';
  /** Function tools as the Realtime API has them. @type {object[]} */
  tools = [];
  turnDetection = { type: 'server_vad', silence_duration_ms: 500 };

  /** A new call. @param {CallInfo} info @param {object} settings the table of tenant.toml */
  constructor(info, settings) {}

  /** The caller pressed a key: 0-9, *, #, A-D. @param {Call} call @param {string} key */
  onKey(call, key) {}

  /** The model called a tool; what is returned becomes JSON and its answer. A tool that has to ask a server first
   * returns `call.ask(..)`, and one that waits for anything else `call.later(..)`: the answer then comes when it
   * is there, and the caller hears words meanwhile.
   * @param {Call} call @param {string} name @param {any} args @returns {any} */
  onTool(call, name, args) {
    return { error: `there is no tool named ${name}` };
  }

  /** A server answered what `call.ask` asked: its JSON, or its text. What is returned is the tool's answer.
   * @param {Call} call @param {string} name @param {any} answer @returns {any} */
  onAnswer(call, name, answer) {
    return answer;
  }

  /** A line was said. @param {Call} call @param {'caller' | 'agent'} who @param {string} text */
  onTranscript(call, who, text) {}

  /** A timer of the tenant's own. @param {Call} call @param {number} token */
  onTimer(call, token) {}

  /** The outcome of a request: `{ token, status, headers, body }` or `{ token, reason }`.
   * @param {Call} call @param {any} answer */
  onHttp(call, answer) {}

  /** An operator's JSON. @param {Call} call @param {any} command */
  onCommand(call, command) {}

  /** The call is over; only `publish` and `http` still have an effect. @param {Call} call @param {string} how */
  onEnded(call, how) {}

  /** What a new version must know when it takes over in mid-call, as JSON can hold it. @returns {any} */
  save() {
    return null;
  }

  /** Takes over from a predecessor; throw to leave it in charge. @param {any} state */
  load(state) {}
}

/** What a tenant may ask for. */
export class Call {
  now = 0;
  /** @type {Action[]} */
  actions = [];
  /** The id of the tool call that `onTool` is to answer. @type {string | null} */
  toolId = null;
  #agent;

  /** @param {Agent} agent */
  constructor(agent) {
    this.#agent = agent;
  }

  /** Answers a tool with what a server says: `return call.ask('POST', url, { value: args })` in `onTool`. `value` is
   * sent as JSON; a header may hold {{secret:NAME}}. The tool's answer is what `onAnswer` makes of the
   * server's. A server that refuses, fails or is late becomes `{ error }`, which the model can speak about.
   * `hold` is said when nothing came for `holdAfterMs`.
   * @param {string} method @param {string} url
   * @param {{ value?: any, headers?: Array<[string, string]>, hold?: string, holdAfterMs?: number,
   *   timeoutMs?: number }} [how] */
  ask(method, url, { value, headers = [], hold, holdAfterMs = 1_500, timeoutMs = 10_000 } = {}) {
    this.later({ hold, holdAfterMs, timeoutMs: timeoutMs + 1_000 });
    const tool = this.#agent.state.tools[this.toolId];
    if (!tool) return LATER;
    tool.http = true;
    const body = value === undefined ? new Uint8Array() : ascii(JSON.stringify(value));
    const kind = value === undefined ? [] : [['content-type', 'application/json']];
    const token = tool.token + REQUEST;
    this.http({ token, method, url, headers: [...kind, ...headers], body, timeoutMs });
    return LATER;
  }

  /** Answers a tool later, by `answerTool(call.toolId, ..)`: `return call.later()` in `onTool`. `hold` is said when no
   * answer came for `holdAfterMs`. After `timeoutMs` the model is told that there is none.
   * @param {{ hold?: string, holdAfterMs?: number, timeoutMs?: number }} [how] */
  later({ hold, holdAfterMs = 1_500, timeoutMs = 30_000 } = {}) {
    const tool = this.#agent.state.tools[this.toolId];
    if (!tool) return LATER;
    if (hold) {
      tool.hold = hold;
      this.setTimer(tool.token + HOLD, holdAfterMs);
    }
    this.setTimer(tool.token + DEADLINE, timeoutMs);
    return LATER;
  }

  /** Answers a tool that was left for later. A second answer, and one to a tool that nobody called, go nowhere.
   * @param {string} toolId @param {any} value */
  answerTool(toolId, value) {
    this.#agent.answerTool(toolId, value);
  }

  /** Has the agent say exactly this, as soon as nobody else speaks. @param {string} words */
  say(words) {
    this.prompt(`Now say exactly this and nothing else:\n${words}`);
  }

  /** Has the agent respond to instructions of the moment. @param {string} instructions */
  prompt(instructions) {
    this.#agent.request(`${this.#agent.tenant.instructions}\n\n${instructions}`);
  }

  /** Adds a note to the conversation, without asking for a response; a new session is told of it, too.
   * @param {string} text */
  tell(text) {
    this.#agent.remember('user', text);
    if (this.#agent.state.connected) this.model(message('user', text));
  }

  /** Has the agent answer the conversation as it stands. */
  respond() {
    this.#agent.request(null);
  }

  /** Tells the outside. @param {string} topic lower-case words with dots @param {any} value */
  publish(topic, value) {
    this.do('publish', { topic, json: JSON.stringify(value) });
  }

  /** Ends the call once everything queued was heard; an interruption keeps it. @param {string} reason */
  hangUp(reason) {
    this.#agent.state.ending = reason;
    this.do('hang-up', { when: 'when-played', deadlineMs: GOODBYE_DEADLINE_MS, reason });
  }

  /** Says last words and hangs up when they were heard; an interruption keeps the call.
   * @param {string} words @param {string} reason */
  sayGoodbye(words, reason) {
    this.say(words);
    this.#agent.state.goodbye = reason;
  }

  /** Puts the caller through. @param {string} to E.164 or `sip:` @param {string | null} callerId */
  transfer(to, callerId = null) {
    this.do('transfer', { to, callerId });
  }

  /** Presses keys towards the far end; `w` waits half a second. @param {string} keys */
  sendKeys(keys) {
    this.do('send-keys', keys);
  }

  /** Asks for onTimer; the same token again moves the timer. @param {number} token @param {number} afterMs */
  setTimer(token, afterMs) {
    this.do('set-timer', { token, at: this.now + afterMs });
  }

  /** @param {number} token */
  cancelTimer(token) {
    this.do('cancel-timer', token);
  }

  /** Has the host make a request; a header may hold {{secret:NAME}}.
   * @param {{ token: number, method: string, url: string, headers?: Array<[string, string]>, body?: Uint8Array,
   *   timeoutMs?: number }} request */
  http({ token, method, url, headers = [], body = new Uint8Array(), timeoutMs = 10_000 }) {
    this.do('http', { token, method, url, headers, body, timeoutMs });
  }

  /** Sends any client event of the Realtime API. @param {object} event
   * @returns {string} its id, which errors about it will name */
  model(event) {
    const { state } = this.#agent;
    state.events += 1;
    const id = `event-${state.events}`;
    this.do('model-event', JSON.stringify({ event_id: id, ...event }));
    return id;
  }

  /** Any action of the contract. @param {string} tag @param {any} [val] */
  do(tag, val) {
    this.actions.push(val === undefined ? { tag } : { tag, val });
  }
}

/** The fold that the contract asks for: handle, save, load. */
export class Agent {
  /** @type {Tenant | undefined} */
  tenant;
  state = freshState();
  #makeTenant;
  #log;

  /** @param {new (info: CallInfo, settings: object) => Tenant} tenantClass @param {Log} log */
  constructor(tenantClass, log) {
    this.#makeTenant = (info, settings) => new tenantClass(info, settings);
    this.#log = log;
    this.call = new Call(this);
  }

  /** @param {number} now @param {Event} event @returns {Action[]} */
  handle(now, event) {
    // Fifty times a second, and first for that reason.
    if (event.tag === 'caller-audio') return [{ tag: 'model-audio', val: event.val }];
    this.call.now = now;
    // `started` or `load` comes first; whatever else did, there is no tenant yet to be told.
    if (this.tenant || event.tag === 'started') {
      this.#happened(event);
      this.#respondIfDue();
    }
    const actions = this.call.actions;
    this.call.actions = [];
    return actions;
  }

  save() {
    return { agent: this.state, tenant: this.tenant?.save() ?? null };
  }

  /** @param {CallInfo} info @param {any} saved */
  load(info, saved) {
    const state = freshState();
    for (const name of Object.keys(state)) {
      if (name in saved.agent) state[name] = saved.agent[name];
    }
    this.state = state;
    this.#begin(info);
    this.tenant.load(saved.tenant);
    // This version may want another session; it says so until a `session.updated` confirms it.
    if (JSON.stringify(this.#session()) !== state.configured) state.updateDue = true;
  }

  /** @param {string | null} instructions null is a plain answer */
  request(instructions) {
    const { requests } = this.state;
    if (!requests.includes(instructions) && requests.length < REQUESTS_MAX) requests.push(instructions);
  }

  /** Keeps what a session that takes the place of a lost one has to be told.
   * @param {string} role @param {string} text */
  remember(role, text) {
    const lines = [...this.state.transcript, [role, text.slice(0, LINE_LENGTH_MAX)]];
    this.state.transcript = lines.slice(-TRANSCRIPT_LINES_MAX);
  }

  /** @param {string} toolId @param {any} value */
  answerTool(toolId, value) {
    const tool = this.state.tools[toolId];
    if (!tool) return;
    delete this.state.tools[toolId];
    this.call.cancelTimer(tool.token + DEADLINE);
    if (tool.hold) this.call.cancelTimer(tool.token + HOLD);
    this.#toolOutput(toolId, tool, value);
    this.#afterTool();
  }

  // What happens.

  #happened({ tag, val }) {
    const { call, state, tenant } = this;
    switch (tag) {
      case 'started':
        if (tenant) break;
        this.#begin(val);
        // Whoever takes over without a state finds a caller who was greeted and a voice that was heard.
        state.greeted = state.spoken = val.restarted;
        break;
      case 'caller-key':
        tenant.onKey(call, val);
        break;
      case 'model-ready':
        this.#connected();
        break;
      case 'model-audio':
        this.#modelAudio(val);
        break;
      case 'model-event':
        this.#modelEvent(val);
        break;
      case 'model-lost':
        this.#modelLost(val);
        break;
      case 'model-restored':
        state.spoken = false;
        this.#connected();
        // So that their outputs have something to belong to.
        for (const [toolId, tool] of Object.entries(state.tools)) {
          call.model(functionCall(toolId, tool));
          tool.known = true;
        }
        break;
      case 'heard':
        delete state.playing[val.item];
        break;
      case 'flushed':
        this.#flushed(val.items);
        break;
      case 'timer':
        // Tokens have 64 bits in the contract; all of ours and of any tenant are small.
        this.#timer(Number(val));
        break;
      case 'http-done':
      case 'http-failed':
        this.#answered(Number(val.token), val);
        break;
      case 'command': {
        const command = parsed(val);
        if (command === undefined) this.#log('warn', "an operator's command is no JSON");
        else tenant.onCommand(call, command);
        break;
      }
      case 'refused':
        this.#log('warn', `the host refused ${val.action}: ${val.reason}`);
        if (val.action === 'http') {
          // It names no token; the latest request is the one.
          const asked = Object.keys(state.tools).filter((toolId) => state.tools[toolId].http);
          if (asked.length > 0) this.answerTool(asked.at(-1), { error: `not allowed here: ${val.reason}` });
        }
        break;
      case 'ended':
        tenant.onEnded(call, val);
        break;
    }
  }

  #timer(token) {
    const { call, state, tenant } = this;
    if (token === RETRY) {
      state.busy = false;
    } else if (token < TOOLS) {
      tenant.onTimer(call, token);
    } else {
      const [toolId, tool] = this.#toolOf(token);
      if (tool && token % 4 === HOLD) call.say(tool.hold);
      else if (tool) this.answerTool(toolId, { error: 'the answer did not come in time' });
    }
  }

  #answered(token, answer) {
    const { call, tenant } = this;
    if (token < TOOLS) {
      tenant.onHttp(call, answer);
      return;
    }
    const [toolId, tool] = this.#toolOf(token);
    if (!tool) return;
    if (answer.reason !== undefined) {
      this.answerTool(toolId, { error: `the service could not be reached: ${answer.reason}` });
      return;
    }
    const said = utf8(answer.body);
    if (answer.status < 200 || answer.status > 299) {
      this.answerTool(toolId, { error: `the service answered ${answer.status}: ${said.slice(0, 500)}` });
      return;
    }
    call.toolId = toolId;
    const made = tenant.onAnswer(call, tool.name, parsed(said) ?? said);
    if (made !== LATER) this.answerTool(toolId, made);
  }

  #toolOf(token) {
    const first = token - (token % 4);
    return Object.entries(this.state.tools).find(([, tool]) => tool.token === first) ?? [];
  }

  #begin(info) {
    const settings = parsed(info.settings || '{}');
    if (settings === undefined) this.#log('error', 'the settings are no JSON');
    this.tenant = this.#makeTenant(info, settings ?? {});
    const codec = { mulaw: 'audio/pcmu', alaw: 'audio/pcma' }[info.format.encoding];
    if (!codec) this.#log('error', 'this line is not G.711; the caller will hear noise');
    this.state.codec = codec ?? 'audio/pcmu';
  }

  /** What this tenant wants of the model, but for the voice, which is fixed once it was heard. */
  #session() {
    const { state, tenant } = this;
    const format = { type: state.codec };
    const input = {
      format,
      turn_detection: tenant.turnDetection,
      transcription: { model: 'gpt-transcribe' },
    };
    return {
      type: 'realtime',
      output_modalities: ['audio'],
      instructions: tenant.instructions,
      audio: { input, output: { format } },
      tools: tenant.tools,
      tool_choice: 'auto',
    };
  }

  #configure() {
    const { call, state, tenant } = this;
    const session = this.#session();
    state.configured = JSON.stringify(session);
    if (!state.spoken) session.audio.output.voice = tenant.voice;
    call.model({ type: 'session.update', session });
  }

  #connected() {
    this.state.connected = true;
    this.#configure();
    // To the first session there is nothing to tell, unless something was told to nobody.
    for (const [role, text] of this.state.transcript) this.call.model(message(role, text));
  }

  #modelLost(reason) {
    const { state } = this;
    this.#log('warn', `the model is lost: ${reason}`);
    if (state.active || state.asked || state.callerSpeaks) this.request(null);
    for (const tool of Object.values(state.tools)) tool.known = false;
    Object.assign(state, { connected: false, ready: false, active: null, asked: null, busy: false });
    Object.assign(state, { callerSpeaks: false, unheard: {} });
    // Those items play on, but no session knows them any more.
    for (const item of Object.values(state.playing)) item.known = false;
  }

  #modelAudio({ response, item, contentIndex, data }) {
    const { call, state } = this;
    if (state.dead.includes(response)) {
      if (!state.playing[item]) state.unheard[item] = { response, index: contentIndex };
      return;
    }
    state.playing[item] ??= { response, index: contentIndex, bytes: 0, last: false, known: true };
    state.playing[item].bytes += data.length;
    state.answered = true;
    state.spoken = true;
    call.do('play', { item, audio: data, last: false });
  }

  #flushed(items) {
    const { call, state } = this;
    state.flushing = false;
    for (const { item, millis } of items) {
      const playing = state.playing[item];
      if (!playing) continue;
      delete state.playing[item];
      // G.711 has 8 bytes in a millisecond; the model must not be told of more than it made.
      const heardMs = Math.min(millis, Math.floor(playing.bytes / 8));
      call.publish('agent.interrupted', { item, heard_ms: heardMs });
      if (playing.known && state.connected) this.#truncate(item, playing.index, heardMs);
    }
  }

  // What the model's server says. Any field can be null, or something else than it should be.

  #modelEvent(text) {
    const { call, state, tenant } = this;
    const event = object(parsed(text));
    switch (event.type) {
      case 'session.updated':
        state.ready = true;
        state.updateDue = false;
        if (!state.greeted && tenant.greeting) call.say(tenant.greeting);
        state.greeted = true;
        break;
      case 'input_audio_buffer.speech_started':
        this.#speechStarted();
        break;
      case 'input_audio_buffer.speech_stopped':
        // The server answers by itself, so nothing is asked for here.
        state.callerSpeaks = false;
        this.#updateIfDue();
        break;
      case 'conversation.item.input_audio_transcription.completed':
        this.#said('caller', 'user', event);
        break;
      case 'response.output_audio_transcript.done':
        this.#said('agent', 'assistant', event);
        break;
      case 'response.created':
        if (!state.asked) {
          // The server's own response answers what the conversation holds by now: the caller's turn is over, whether or
          // not anybody said so.
          state.callerSpeaks = false;
          state.requests = state.requests.filter((request) => request !== null);
        }
        // Some servers give no id; there is a response under way all the same.
        Object.assign(state, { active: object(event.response).id ?? '?', answered: false, asked: null, busy: false });
        break;
      case 'response.output_audio.done':
        this.#last(event.item_id);
        break;
      case 'response.output_item.done':
        this.#itemDone(object(event.item));
        break;
      case 'response.done':
        this.#responseDone(object(event.response));
        break;
      case 'error':
        this.#error(object(event.error));
        break;
    }
  }

  #speechStarted() {
    const { call, state } = this;
    state.callerSpeaks = true;
    state.goodbye = null;
    if (state.ending) {
      // Before the flush, for a flushed line is a silent one and would be hung up.
      state.ending = null;
      call.do('cancel-hang-up');
    }
    if (state.active && !state.dead.includes(state.active)) {
      // The server cancels it by itself; what of its audio is on the way is not for the caller.
      state.dead = [...state.dead, state.active].slice(-DEAD_RESPONSES_MAX);
    }
    if (Object.keys(state.playing).length > 0 && !state.flushing) {
      state.flushing = true;
      call.do('flush');
    }
  }

  #itemDone(item) {
    const { call, state, tenant } = this;
    if (item.type !== 'function_call') return;
    const [toolId, name] = [String(item.call_id ?? ''), String(item.name ?? '')];
    if (state.toolsSeen.includes(toolId)) return;
    state.answered = true;
    state.toolsSeen = [...state.toolsSeen, toolId].slice(-TOOLS_SEEN_MAX);
    const args = object(typeof item.arguments === 'string' ? parsed(item.arguments) : item.arguments);
    state.tokens += 4;
    const tool = { name, arguments: args, token: state.tokens, known: true, http: false, hold: null };
    if (Object.keys(state.tools).length >= TOOLS_OPEN_MAX) {
      this.#toolOutput(toolId, tool, { error: 'too many tools are running; try again when one is done' });
      this.#afterTool();
      return;
    }
    state.tools[toolId] = tool;
    call.toolId = toolId;
    const answer = tenant.onTool(call, name, args) ?? null;
    if (answer === LATER) return;
    delete state.tools[toolId];
    this.#toolOutput(toolId, tool, answer);
    this.#afterTool();
  }

  #afterTool() {
    // Who says goodbye or hangs up in a tool has had the last word.
    if (!this.state.goodbye && !this.state.ending) this.request(null);
  }

  #toolOutput(toolId, tool, value) {
    const output = JSON.stringify(value ?? null).slice(0, TOOL_OUTPUT_MAX);
    if (tool.known) {
      const item = { type: 'function_call_output', call_id: toolId, output };
      this.call.model({ type: 'conversation.item.create', item });
      const asked = JSON.stringify(tool.arguments);
      this.remember('system', `The function ${tool.name} was called with ${asked}. Its result: ${output}`);
    } else {
      this.call.tell(`Result of ${tool.name}: ${output}`);
    }
  }

  #responseDone(response) {
    const { call, state } = this;
    const { id } = response;
    for (const [item, playing] of Object.entries(state.playing)) {
      if (playing.response === id) this.#last(item);
    }
    for (const [item, unheard] of Object.entries(state.unheard)) {
      if (unheard.response !== id) continue;
      delete state.unheard[item];
      this.#truncate(item, unheard.index, 0);
    }
    state.active = null;
    if (response.usage) call.publish('usage', { response: id, usage: response.usage });
    if (response.status === 'failed') {
      this.#failed(object(object(response.status_details).error).code);
    } else if (['completed', 'incomplete'].includes(response.status) && !state.answered) {
      this.#silent(response);
    } else {
      state.failures = 0;
      if (state.goodbye && state.requests.length === 0 && !state.dead.includes(id)) {
        call.hangUp(state.goodbye);
        state.goodbye = null;
      }
    }
    this.#updateIfDue();
  }

  #error({ code = null, message = null, event_id = null }) {
    const { call, state } = this;
    if (state.asked && (event_id === null || event_id === state.asked.id)) {
      const { request } = state.asked;
      state.asked = null;
      if (code === 'conversation_already_has_active_response') {
        // Another one began a moment before; this request waits for its end.
        state.busy = true;
        state.requests.unshift(request);
      } else {
        this.#failed(code);
      }
    }
    this.#log('warn', `error of the model's server: ${code}`);
    call.publish('model.error', { code, message: String(message).slice(0, LINE_LENGTH_MAX) });
  }

  // What is done about it.

  #respondIfDue() {
    const { call, state } = this;
    const silent = !(state.active || state.asked || state.callerSpeaks || state.busy);
    // While a flush is under way the model believes that all of it was heard.
    if (!state.ready || !silent || state.flushing || state.requests.length === 0) return;
    const request = state.requests.shift();
    const create = { type: 'response.create' };
    const id = call.model(request === null ? create : { ...create, response: { instructions: request } });
    state.asked = { id, request };
  }

  /** Mostly a moment's rate limit: once more, and then the caller is not kept waiting. */
  #failed(code = null) {
    const { call, state } = this;
    call.publish('response.failed', { code });
    state.failures += 1;
    if (state.failures > 1) {
      call.hangUp(`the model failed: ${code}`);
      return;
    }
    state.busy = true;
    this.request(null);
    call.setTimer(RETRY, RETRY_AFTER_MS);
  }

  /** A response that brought neither voice nor tool: asked for once more, so that nobody waits for words. */
  #silent({ status, status_details }) {
    const { call, state } = this;
    call.publish('response.silent', { status, reason: object(status_details).reason ?? null });
    state.failures += 1;
    if (state.failures === 1) this.request(null);
  }

  #last(item) {
    const playing = this.state.playing[item];
    if (!playing || playing.last) return;
    playing.last = true;
    if (!this.state.flushing) this.call.do('play', { item, audio: new Uint8Array(), last: true });
  }

  #truncate(item, index, heardMs) {
    this.call.model({
      type: 'conversation.item.truncate',
      item_id: item,
      content_index: index,
      audio_end_ms: heardMs,
    });
  }

  #said(who, role, { item_id = null, transcript }) {
    if (typeof transcript !== 'string' || transcript === '') return;
    const text = transcript.slice(0, LINE_LENGTH_MAX);
    this.remember(role, text);
    this.call.publish(`transcript.${who}`, { item: item_id, text });
    this.tenant.onTranscript(this.call, who, text);
  }

  #updateIfDue() {
    if (this.state.updateDue && this.state.connected) this.#configure();
  }
}

/** All that a call's turn-taking remembers, as JSON can hold it. */
function freshState() {
  return {
    codec: 'audio/pcmu',
    // Events sent so far; the next one's id.
    events: 0,
    // The session exists; what was asked of it; it is configured; it is to be configured again.
    connected: false,
    configured: null,
    ready: false,
    updateDue: false,
    greeted: false,
    // The agent was heard in this session, so its voice is fixed.
    spoken: false,
    // The response under way, the one asked for, and those whose audio is for nobody.
    active: null,
    asked: null,
    busy: false,
    // Whether the response under way brought voice or a tool.
    answered: false,
    failures: 0,
    dead: [],
    // Instructions of responses to come; null is a plain answer.
    requests: [],
    // Tools whose answer is still to come, by the model's id; ids seen; the last one's timers and request.
    tools: {},
    toolsSeen: [],
    tokens: TOOLS,
    callerSpeaks: false,
    // Items handed over and not yet heard to their end; items of dead responses nobody will hear.
    playing: {},
    unheard: {},
    flushing: false,
    goodbye: null,
    ending: null,
    transcript: [],
  };
}

function functionCall(toolId, tool) {
  const item = { type: 'function_call', call_id: toolId, name: tool.name, arguments: JSON.stringify(tool.arguments) };
  return { type: 'conversation.item.create', item };
}

// There is no TextEncoder here, but JSON can always be written in ASCII.

/** JSON as bytes. @param {string} json */
export function ascii(json) {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const text = json.replace(/[\u0080-\uffff]/g, escaped);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A text of UTF-8; what is none becomes U+FFFD. @param {Uint8Array} bytes */
export function utf8(bytes) {
  let latin = '';
  for (let at = 0; at < bytes.length; at += 4_096) {
    latin += String.fromCharCode.apply(null, bytes.slice(at, at + 4_096));
  }
  try {
    // Each byte as %XX is what this function takes for UTF-8.
    return decodeURIComponent(latin.replace(/[%\u0080-\u00ff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`));
  } catch {
    return latin.replace(/[\u0080-\u00ff]/g, '\ufffd');
  }
}

function message(role, text) {
  const type = role === 'assistant' ? 'output_text' : 'input_text';
  return {
    type: 'conversation.item.create',
    item: { type: 'message', role, content: [{ type, text }] },
  };
}

/** JSON's value, or undefined. What is nested without end would take the engine's stack with it. */
function parsed(text) {
  try {
    return opensOften(text, '[') || opensOften(text, '{') ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a text opens more brackets than any event or setting should, and so may be nested as deep. */
function opensOften(text, bracket) {
  let at = -1;
  for (let count = 0; count < BRACKETS_MAX; count += 1) {
    at = text.indexOf(bracket, at + 1);
    if (at < 0) return false;
  }
  return true;
}

/** Whatever should be an object, as one. */
function object(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}
