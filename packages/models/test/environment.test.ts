import { loadConfig } from '@mgpu/core';
import { expect, test } from 'vitest';
import { type ModelsConfig, models } from '../src/index.ts';
import { temporaryFolder } from './support.ts';

const configOf = async (env: Record<string, string>) => {
  const { config } = await loadConfig({ definitions: [models], cwd: temporaryFolder(), env });
  return config.services.models as unknown as ModelsConfig;
};

test("the predecessors' variables mean what they meant", async () => {
  const config = await configOf({
    CLOUD_PROVIDER: 'Google',
    CLOUD_MODELS_CONTAINER: 'shared',
    AZURE_STORAGE_CONTAINER: 'former',
    AWS_ACCESS_KEY_ID: 'AKID',
    AWS_SECRET_ACCESS_KEY_ENCODED: 'a_SLASH_b_SLASH_c',
    SKIP_STORAGE_SYNC: 'true',
    SKIP_MODEL_DOWNLOAD: 'false',
    FORCE_MODEL_SYNC: 'true',
    MAX_SYNC_AGE_DAYS: '3',
    AWS_TEST_MODE: 'true',
    STORAGE_TEST_MODE: '',
    TEST_MODEL_MOVE: 'true',
    TEST_MODEL_SOURCE: '/models/a.pt',
    STORAGE_EMULATOR_HOST: 'localhost:4443',
    HF_TOKEN: '',
  });
  expect(config).toMatchObject({
    download: true,
    testMode: true,
    sync: { provider: 'google', container: 'shared', enabled: false, force: true, maxAgeDays: 3 },
    accounts: { s3: { secretAccessKey: 'a/b/c' }, google: { endpoint: 'http://localhost:4443' } },
    testCopy: { enabled: true, source: '/models/a.pt' },
  });
  expect(config.accounts.huggingFace.token).toBeUndefined();
});

test('none and nothing are no provider; another name is refused with its key', async () => {
  expect((await configOf({ CLOUD_PROVIDER: 'none', SKIP_AWS_SYNC: '' })).sync).toMatchObject({ enabled: 'auto' });
  await expect(configOf({ CLOUD_PROVIDER: 'ibm' })).rejects.toMatchObject({
    code: 'CORE_CONFIG_INVALID',
    message: expect.stringContaining('CLOUD_PROVIDER'),
  });
});
