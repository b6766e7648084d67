import { defineError } from '@mgpu/core';

export const RedisSocketPathError = defineError<{ instance: string; path: string; problem: string }>({
  code: 'REDIS_SOCKET_PATH',
  message: ({ instance, path, problem }) => `${instance}: ${path} cannot hold its socket: ${problem}`,
  hint: 'choose a shorter machine.root, or point TMPDIR at a short folder that is yours alone',
});
