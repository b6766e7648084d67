import { request } from 'node:http';
import { type Probe, type ProbeOutcome, probeFail, probeOk } from '@mgpu/core';
import { AuthUnreadableError } from './errors.ts';

/** Says yes when nginx answers on its own socket; with `generation`, when it answers with that configuration. */
export function statusProbe(socketPath: string, generation?: () => string): Probe {
  return {
    description: `GET /status on ${socketPath}`,
    async attempt({ signal }): Promise<ProbeOutcome> {
      const answer = await ask(socketPath, '/status', signal);
      if (typeof answer === 'string') return probeFail(answer);
      if (answer.status !== 200) return probeFail(`status ${answer.status}`);
      const expected = generation?.();
      if (expected !== undefined && answer.body !== expected) return probeFail('it serves another configuration');
      return probeOk;
    },
  };
}

/** Says yes when the workers can read the users: a wrong password is refused as such. */
export function authProbe(instance: string, socketPath: string, authFile: string): Probe {
  return {
    description: `GET /auth on ${socketPath}`,
    async attempt({ signal }): Promise<ProbeOutcome> {
      const answer = await ask(socketPath, '/auth', signal, 'mgpu:no password of anybody');
      if (typeof answer === 'string') return probeFail(answer);
      if (answer.status === 401) return probeOk;
      return { outcome: 'fatal', error: new AuthUnreadableError({ instance, path: authFile, status: answer.status }) };
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The answer, or why there is none. */
function ask(socketPath: string, path: string, signal: AbortSignal, auth?: string): Promise<Answer | string> {
  return new Promise((resolve) => {
    const headers = { host: 'nginx', connection: 'close' };
    const question = request({ socketPath, path, signal, headers, agent: false, ...(auth ? { auth } : {}) });
    question.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('error', (error) => resolve(error.message));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    question.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    question.end();
  });
}
