// The component's exports. Nothing here needs to change; the tenant is in tenant.js.

import host from 'cordboard:tenant/log@0.1.0';

import { Agent } from './cordboard.js';
import { MyTenant } from './tenant.js';

const agent = new Agent(MyTenant, (level, message) => host.log(level, message));

export const handler = {
  handle: (now, event) => told(() => agent.handle(now, event)),
};

export const handover = {
  save: () => told(() => bytes(JSON.stringify(agent.save()))),

  load(now, info, state) {
    try {
      agent.load(info, JSON.parse(text(state)));
    } catch (reason) {
      // What is thrown here is the contract's refusal: the old version stays in charge of the call.
      throw `not a state of this tenant: ${reason}`;
    }
  },
};

/** Has an error's words in the tenant's log before it ends this instance. */
function told(work) {
  try {
    return work();
  } catch (error) {
    host.log('error', `${error}\n${error?.stack ?? ''}`);
    throw error;
  }
}

// There is no TextEncoder here, but JSON can always be written in ASCII.

function bytes(json) {
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const ascii = json.replace(/[\u0080-\uffff]/g, escape);
  const bytes = new Uint8Array(ascii.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = ascii.charCodeAt(at);
  return bytes;
}

function text(ascii) {
  let text = '';
  for (let at = 0; at < ascii.length; at += 4_096) {
    text += String.fromCharCode.apply(null, ascii.slice(at, at + 4_096));
  }
  return text;
}
