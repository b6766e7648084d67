import { describe } from 'vitest';
import { serverContract } from './server-contract.ts';
import { startServer } from './support.ts';

describe('simulated Ollama', () => serverContract(() => startServer()));
