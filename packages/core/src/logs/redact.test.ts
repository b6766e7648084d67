import { expect, test } from 'vitest';
import { redact } from './redact.ts';

test('values of keys that sound secret are replaced, at any depth', () => {
  expect(
    redact({
      password: 'a',
      nested: [{ apiKey: 'b', AUTHORIZATION: 'c', HF_TOKEN: 'd', 'set-cookie': ['e'], privateKey: { pem: 'f' } }],
      port: 8188,
    }),
  ).toEqual({
    password: '[redacted]',
    nested: [
      {
        apiKey: '[redacted]',
        AUTHORIZATION: '[redacted]',
        HF_TOKEN: '[redacted]',
        'set-cookie': '[redacted]',
        privateKey: '[redacted]',
      },
    ],
    port: 8188,
  });
});

test('that there is no secret may be seen', () => {
  expect(redact({ token: undefined, secret: null, password: '', apiKey: false })).toEqual({
    token: undefined,
    secret: null,
    password: '',
    apiKey: false,
  });
});

test('passwords inside URLs are replaced, wherever they stand', () => {
  expect(redact('cannot reach redis://:s3cret@host:6379/0 or https://me:pass@git.example/x')).toBe(
    'cannot reach redis://:[redacted]@host:6379/0 or https://me:[redacted]@git.example/x',
  );
  expect(redact({ url: new URL('redis://user:s3cret@host/') })).toEqual({ url: 'redis://user:[redacted]@host/' });
  expect(redact('http://127.0.0.1:8188/view?a=b@c')).toBe('http://127.0.0.1:8188/view?a=b@c');
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

test('tokens in URLs are replaced, before the host and in the query', () => {
  expect(redact('https://ghp_abc@git.example/x?access_token=abc&page=2')).toBe(
    'https://[redacted]@git.example/x?access_token=[redacted]&page=2',
  );
});
