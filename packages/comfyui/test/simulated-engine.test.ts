import { describe } from 'vitest';
import { engineContract } from './engine-contract.ts';
import { startEngine } from './support.ts';

describe('simulated ComfyUI', () => engineContract(() => startEngine()));
describe('simulated ComfyUI of 2025', () => engineContract(() => startEngine({ sim: { version: '0.3.64' } })));
