import { booleanFromText, type EnvironmentVariable, numberFromText } from '@mgpu/core';

/** Empty variables say nothing, as those that are set to nothing in a compose file. */
const text = (value: string): unknown => value.trim() || undefined;
const flag = (value: string): unknown => (value.trim() === '' ? undefined : booleanFromText(value));
const number = (value: string): unknown => (value.trim() === '' ? undefined : numberFromText(value));
const not = (value: string): unknown => {
  const given = flag(value);
  return typeof given === 'boolean' ? !given : given;
};
/** `_SLASH_` stands for a slash, which the predecessors' hosts could not pass on. */
const decoded = (value: string): unknown => value.trim().replaceAll('_SLASH_', '/') || undefined;
const provider = (value: string): unknown => {
  const name = value.trim().toLowerCase();
  return name === 'none' ? undefined : name || undefined;
};
const endpointOf = (value: string): unknown => {
  const given = value.trim();
  return /^[\w.-]+(:\d+)?$/.test(given) ? `http://${given}` : given || undefined;
};

/** Variables of both predecessors and of the clouds' own tools; of several with one key the later wins. */
export const modelsEnvironment: Readonly<Record<string, EnvironmentVariable>> = {
  HF_TOKEN: { key: 'accounts.huggingFace.token', summary: 'Access token for Hugging Face', parse: text },
  HF_ENDPOINT: { key: 'accounts.huggingFace.endpoint', summary: 'Hugging Face, or a mirror of it', parse: text },
  CIVITAI_TOKEN: { key: 'accounts.civitai.token', summary: 'API key for Civitai', parse: text },
  AWS_ACCESS_KEY_ID: { key: 'accounts.s3.accessKeyId', summary: 'For buckets that speak S3', parse: text },
  AWS_SECRET_ACCESS_KEY_ENCODED: {
    key: 'accounts.s3.secretAccessKey',
    summary: 'Its secret, with `_SLASH_` for each slash',
    parse: decoded,
  },
  AWS_SECRET_ACCESS_KEY: {
    key: 'accounts.s3.secretAccessKey',
    summary: 'Its secret; wins over AWS_SECRET_ACCESS_KEY_ENCODED',
    parse: text,
  },
  AWS_SESSION_TOKEN: { key: 'accounts.s3.sessionToken', summary: 'For temporary credentials', parse: text },
  AWS_DEFAULT_REGION: { key: 'accounts.s3.region', summary: 'Region of the buckets', parse: text },
  AWS_REGION: { key: 'accounts.s3.region', summary: 'Region; wins over AWS_DEFAULT_REGION', parse: text },
  AWS_ENDPOINT_URL: { key: 'accounts.s3.endpoint', summary: 'A server compatible with S3', parse: text },
  AWS_ENDPOINT_URL_S3: { key: 'accounts.s3.endpoint', summary: 'Wins over AWS_ENDPOINT_URL', parse: text },
  AZURE_STORAGE_ACCOUNT: { key: 'accounts.azure.account', summary: 'Storage account', parse: text },
  AZURE_STORAGE_KEY: { key: 'accounts.azure.accountKey', summary: 'Its key', parse: text },
  AZURE_STORAGE_SAS_TOKEN: { key: 'accounts.azure.sasToken', summary: 'A signature instead of the key', parse: text },
  GOOGLE_APPLICATION_CREDENTIALS: { key: 'accounts.google.keyFile', summary: 'Credentials file', parse: text },
  STORAGE_EMULATOR_HOST: { key: 'accounts.google.endpoint', summary: 'A stand-in for Google', parse: endpointOf },
  CLOUD_PROVIDER: {
    key: 'sync.provider',
    summary: 'Whose bucket: aws, google, azure; none says nothing',
    parse: provider,
  },
  AZURE_STORAGE_CONTAINER: { key: 'sync.container', summary: 'Container of the models (former name)', parse: text },
  CLOUD_MODELS_CONTAINER: { key: 'sync.container', summary: 'Bucket or container of the models', parse: text },
  AZURE_STORAGE_TEST_CONTAINER: { key: 'sync.testContainer', summary: 'That of test mode (former name)', parse: text },
  CLOUD_STORAGE_TEST_CONTAINER: { key: 'sync.testContainer', summary: 'That of test mode', parse: text },
  SKIP_AWS_SYNC: { key: 'sync.enabled', summary: 'True: the bucket is not looked at (former name)', parse: not },
  SKIP_AZURE_SYNC: { key: 'sync.enabled', summary: 'True: the bucket is not looked at (former name)', parse: not },
  SKIP_STORAGE_SYNC: { key: 'sync.enabled', summary: 'True: the bucket is not looked at', parse: not },
  SKIP_MODEL_DOWNLOAD: { key: 'download', summary: 'True: the list is not downloaded', parse: not },
  FORCE_MODEL_SYNC: { key: 'sync.force', summary: 'Sync however young the last one is', parse: flag },
  MAX_SYNC_AGE_DAYS: { key: 'sync.maxAgeDays', summary: 'Days in which no sync is needed', parse: number },
  AWS_TEST_MODE: { key: 'testMode', summary: 'Test container and test models (former name)', parse: flag },
  AZURE_TEST_MODE: { key: 'testMode', summary: 'Test container and test models (former name)', parse: flag },
  STORAGE_TEST_MODE: { key: 'testMode', summary: 'Test container and test models', parse: flag },
  TEST_MODEL_MOVE: { key: 'testCopy.enabled', summary: 'Copy a model under another name', parse: flag },
  TEST_MODEL_SOURCE: { key: 'testCopy.source', summary: 'Which one', parse: text },
  TEST_MODEL_SAVE_DIR: { key: 'testCopy.to', summary: 'Into which folder', parse: text },
};
