import { expect, test } from 'vitest';
import { comfyuiSchema } from './config.ts';

test.each([
  ...['--listen', '--listen=0.0.0.0', '--port', '--output-dir', '--user-directory=/x'],
  ...['--cuda-device', '--default-device=1', '--tls-keyfile', '--tls-cert'],
])('the argument %s is not for users', (word) => {
  expect(comfyuiSchema.safeParse({ args: [word] }).success).toBe(false);
});

test.each(['--lowvram', '--preview-method', '--p', 'auto', '--disable-metadata'])('the argument %s is', (word) => {
  expect(comfyuiSchema.safeParse({ args: [word] }).success).toBe(true);
});
