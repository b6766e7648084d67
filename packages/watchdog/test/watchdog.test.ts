import { loadConfig } from '@mgpu/core';
import { serviceConformance, testContext } from '@mgpu/core/testing';
import { describe, expect, test } from 'vitest';
import { watchdog } from '../src/index.ts';

describe('conformance', () => {
  serviceConformance({ definition: watchdog, config: {}, context: () => testContext({ kind: 'watchdog' }), test });
});

test("the predecessor's variables are understood", async () => {
  const env = { WORKER_MAX_RESTART_ATTEMPTS: '7', WORKER_RESTART_DELAY: '90', WORKER_CHECK_INTERVAL: '10' };
  const { config } = await loadConfig({ definitions: [watchdog], cwd: '/nowhere', env });
  expect(config.services.watchdog).toMatchObject({
    sweepMs: 10_000,
    policies: { worker: { attempts: 7, backoff: { baseMs: 90_000 } } },
  });
});
