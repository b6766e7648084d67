import { httpProbe, type Probe } from '@mgpu/core';
import { AuthUnreadableError } from './errors.ts';

/** Says yes when nginx answers on its own socket; with `generation`, when it answers with that configuration. */
export function statusProbe(socketPath: string, generation?: () => string | undefined): Probe {
  return httpProbe(new URL('http://nginx/status'), {
    socketPath,
    expect: ({ status, body }) => {
      if (status !== 200) return `status ${status}`;
      return generation === undefined || body === generation() || 'it serves another configuration';
    },
  });
}

/** Says yes when the workers can read the users: a wrong password is refused as such. */
export function authProbe(instance: string, socketPath: string, usersFile: () => string | undefined): Probe {
  return httpProbe(new URL('http://nginx/auth'), {
    socketPath,
    headers: { authorization: `Basic ${btoa('mgpu:no password of anybody')}` },
    expect: ({ status }) => status === 401 || new AuthUnreadableError({ instance, path: usersFile() ?? '', status }),
  });
}
