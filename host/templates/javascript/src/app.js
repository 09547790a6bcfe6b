// The component's exports. Nothing here needs to change; the tenant is in tenant.js.

import host from 'cordboard:tenant/log@0.1.0';

import { Agent, ascii, utf8 } from './cordboard.js';
import { MyTenant } from './tenant.js';

const agent = new Agent(MyTenant, (level, message) => host.log(level, message));

export const handler = {
  handle: (now, event) => told(() => agent.handle(now, event)),
};

export const handover = {
  save: () => told(() => ascii(JSON.stringify(agent.save()))),

  load(now, info, state) {
    try {
      agent.load(info, JSON.parse(utf8(state)));
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
