import { expect, test } from 'vitest';
import { MgpuError } from '../errors/mgpu-error.ts';
import { isSecretKey, redact } from './redact.ts';

test('values of keys that sound secret are replaced, at any depth', () => {
  expect(
    redact({
      password: 'a',
      nested: [{ apiKey: 'b', tokens: [1], 'set-cookie': ['e'], privateKey: { pem: 'f' } }],
      port: 8188,
    }),
  ).toEqual({
    password: '[redacted]',
    nested: [{ apiKey: '[redacted]', tokens: '[redacted]', 'set-cookie': '[redacted]', privateKey: '[redacted]' }],
    port: 8188,
  });
});

test.each([
  'password',
  'REDIS_PASS',
  'dbPassword',
  'passphrase',
  'pwd',
  'secret',
  'AWS_SECRET_ACCESS_KEY_ENCODED',
  'clientSecret',
  'token',
  'tokens',
  'HF_TOKEN',
  'authToken',
  'apiKey',
  'api_key',
  'APIKEY',
  'x-api-key',
  'AZURE_STORAGE_KEY',
  'privateKey',
  'CUT_PK_1',
  'deployKey',
  'deployKeyParts',
  'SERVER_CREDS',
  'credentials',
  'COMFY_AUTH',
  'AUTHORIZATION',
  'set-cookie',
  'sig',
  'X-Amz-Signature',
])('%s sounds secret', (key) => {
  expect(isSecretKey(key)).toBe(true);
});

test.each([
  'maxTokens',
  'max_tokens',
  'max_new_tokens',
  'promptTokens',
  'tokensPerSecond',
  'tokenizer',
  'tokenCount',
  'authFile',
  'passwordFile',
  'deployKeyFile',
  'authorizedKeys',
  'secretName',
  'author',
  'key',
  'cacheKey',
  'publicKey',
  'pkg',
  'design',
  'passes',
  'bypass',
])('%s does not', (key) => {
  expect(isSecretKey(key)).toBe(false);
});

test('that there is no secret may be seen', () => {
  const nothing = { token: undefined, secret: null, password: '', apiKey: false, auth: true };
  expect(redact(nothing)).toEqual(nothing);
});

test.each([
  [
    'cannot reach redis://:s3cret@host:6379/0 or https://me:pass@git.example/x',
    'cannot reach redis://:[redacted]@host:6379/0 or https://me:[redacted]@git.example/x',
  ],
  ['redis://:p@ss@host:6379/0', 'redis://:[redacted]@host:6379/0'],
  ['redis://user:p/a@s/s@host:6379', 'redis://user:[redacted]@host:6379'],
  ['{"url":"redis://:p@ss@host","mail":"a@b"}', '{"url":"redis://:[redacted]@host","mail":"a@b"}'],
  [
    'https://ghp_abc@git.example/x?access_token=abc&page=2',
    'https://[redacted]@git.example/x?access_token=[redacted]&page=2',
  ],
  ['https://x.blob.example/m?sv=1&sig=a%2Fb%3D&se=2', 'https://x.blob.example/m?sv=1&sig=[redacted]&se=2'],
  ['started with HF_TOKEN=hf_abc and PORT=1', 'started with HF_TOKEN=[redacted] and PORT=1'],
  ['--token=abc --port=1', '--token=[redacted] --port=1'],
  ['serve --api-key abc --port 1', 'serve --api-key [redacted] --port 1'],
  ['--password="a b" x', '--password=[redacted] x'],
  ['got {"apiKey":"abc","n":1}', 'got {"apiKey":[redacted],"n":1}'],
  ['Authorization: Bearer abc.def-1', 'Authorization: Bearer [redacted]'],
  ['authorization: Basic dTpw', 'authorization: Basic [redacted]'],
  ['a -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- b', 'a [redacted] b'],
  ['-----BEGIN PRIVATE KEY-----\nabc', '[redacted]'],
])('secrets in texts are replaced: %s', (text, expected) => {
  expect(redact(text)).toBe(expected);
});

test.each([
  'http://127.0.0.1:8188/view?a=b@c',
  'http://127.0.0.1:8188, mail me@here.example',
  'max_tokens=4096 and seed=7',
  'the token is missing',
  'the password of the user is wrong',
  'git@github.com:a/b.git and ssh://git@host/x',
  '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----',
])('other texts stay: %s', (text) => {
  expect(redact(text)).toBe(text);
});

test('a URL is a text', () => {
  expect(redact({ url: new URL('redis://user:s3cret@host/') })).toEqual({ url: 'redis://user:[redacted]@host/' });
});

test('the argument after a flag that sounds secret is its value', () => {
  expect(redact(['serve', '--token', 'abc', '--auth', '--port', '1'])).toEqual([
    'serve',
    '--token',
    '[redacted]',
    '--auth',
    '--port',
    '1',
  ]);
});

test('errors are told wherever they stand, with their causes and without their secrets', () => {
  const error = new MgpuError('cannot reach redis://:a@h', {
    code: 'TEST_NO',
    details: { token: 'b', n: 1 },
    cause: new TypeError('HF_TOKEN=c'),
  });
  expect(redact({ nested: { error }, all: [new AggregateError([error], 'both')] })).toMatchObject({
    nested: {
      error: {
        code: 'TEST_NO',
        message: 'cannot reach redis://:[redacted]@h',
        details: { token: '[redacted]', n: 1 },
        cause: { name: 'TypeError', message: 'HF_TOKEN=[redacted]' },
      },
    },
    all: [{ message: 'both', errors: [{ code: 'TEST_NO' }] }],
  });
});

test('maps and sets are told, bytes are counted', () => {
  const value = { map: new Map([['token', 'a']]), set: new Set(['b']), bytes: Buffer.from('abc') };
  expect(redact(value)).toEqual({ map: { token: '[redacted]' }, set: ['b'], bytes: '[3 bytes]' });
});

test('circles are cut, what is there twice is kept', () => {
  const shared = { a: 1 };
  const circle: Record<string, unknown> = { one: shared, two: shared };
  circle.self = circle;
  expect(redact(circle)).toEqual({ one: { a: 1 }, two: { a: 1 }, self: '[circular]' });
});

test('the original is not changed', () => {
  const original = { token: 'x', at: new Date(0) };
  expect(redact(original)).toEqual({ token: '[redacted]', at: new Date(0) });
  expect(original.token).toBe('x');
});
