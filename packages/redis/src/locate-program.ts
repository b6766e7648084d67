import { type RequiredProgram, requireProgram } from '@mgpu/core';

const program: RequiredProgram = {
  title: 'Redis or Valkey',
  names: ['redis-server', 'valkey-server'],
  key: 'services.redis.program',
  packages: {
    'apt-get': 'redis-server',
    apk: 'redis',
    dnf: 'valkey',
    yum: 'redis',
    pacman: 'valkey',
    zypper: 'redis',
    brew: 'redis',
  },
  otherwise:
    'https://redis.io/docs/latest/operate/oss_and_stack/install/, or set services.redis.url to an existing one',
};

/** The server to run. Throws `CORE_PROGRAM_PATH` or `CORE_PROGRAM_MISSING`. */
export const locateProgram = (configured: string | undefined, env: Readonly<Record<string, string | undefined>>) =>
  requireProgram(program, configured, env);
