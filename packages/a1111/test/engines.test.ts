import { describe } from 'vitest';
import { A1111Client } from '../src/client/a1111-client.ts';
import { engineContract } from './engine-contract.ts';
import { startEngine } from './support.ts';

describe('simulated Automatic1111', () => engineContract(() => startEngine()));
describe('simulated Forge', () => engineContract(() => startEngine({ sim: { stepMs: 5, flavour: 'forge' } })));

const { MGPU_REAL_A1111: real = '' } = process.env;

// With a checkpoint of whatever kind, and nobody else who uses it.
describe.skipIf(real === '')('real Automatic1111 (MGPU_REAL_A1111=<url>)', { timeout: 600_000 }, () => {
  engineContract(async () => {
    const url = new URL(real);
    const client = new A1111Client(url);
    return { url, client, [Symbol.asyncDispose]: () => client.close() };
  });
});
