import { defineService, type Finding, findingOf } from '@mgpu/core';
import { NoAuthorizedKeyError } from '../errors.ts';
import { readAuthorizedKeys } from './authorized-keys.ts';
import { AuthorizedKeysService } from './authorized-keys-service.ts';
import { sshSchema } from './config.ts';
import { locateProgram } from './locate-program.ts';
import { SshServerService } from './ssh-server-service.ts';

/** Who may log in at the machine, and the SSH server for that. */
export const ssh = defineService({
  api: 1,
  kind: 'ssh',
  summary: 'Who may log in: public keys, and an SSH server of our own where it is asked for',
  scope: 'machine',
  schema: sshSchema,
  env: {
    SSH_AUTHORIZED_KEYS: {
      key: 'authorizedKeys',
      summary: 'Public keys that may log in, one a line',
      parse: (text) => text.split('\n').filter((line) => line.trim() !== ''),
    },
  },
  phase: 'access',
  critical: false,
  async install({ env }, { server }) {
    if (server.enabled) await locateProgram(server.program, env);
  },
  create: ({ enabled: _, server, ...keys }, context) => {
    if (!server.enabled) return new AuthorizedKeysService(keys, context);
    const { enabled: __, ...options } = server;
    return new SshServerService({ ...keys, ...options }, context);
  },
  ports: ({ server }) => (server.enabled ? [{ instance: 'ssh', port: server.port }] : []),
  async doctor(config, { env }): Promise<readonly Finding[]> {
    try {
      const keys = await readAuthorizedKeys(config);
      if (!config.server.enabled)
        return [{ level: 'ok', message: `ssh: ${keys.length} public keys, no server of ours` }];
      if (keys.length === 0) throw new NoAuthorizedKeyError({ instance: 'ssh' });
      const program = await locateProgram(config.server.program, env);
      return [{ level: 'ok', message: `ssh: ${program}, ${keys.length} public keys` }];
    } catch (error) {
      return [findingOf(error, 'error')];
    }
  },
});
