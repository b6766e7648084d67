import { describe } from 'vitest';
import { addressFromText, urlOf } from '../src/address.ts';
import { OllamaClient } from '../src/client/ollama-client.ts';
import { serverContract } from './server-contract.ts';

const { OLLAMA_HOST: address = '' } = process.env;

// With a model of its own, which is removed again.
describe.skipIf(address === '')('real Ollama, named by OLLAMA_HOST', () =>
  serverContract(async () => {
    const { host = '127.0.0.1', port = 11_434 } = addressFromText(address);
    const url = urlOf(host, port);
    const client = new OllamaClient(url);
    return { client, url, [Symbol.asyncDispose]: () => client.close() };
  }),
);
