import { fileURLToPath } from 'node:url';
import { a1111CheckoutFiles } from './a1111/checkout.ts';
import { checkoutFiles } from './comfyui/checkout.ts';

export type { A1111SimulationInput } from './a1111/script.ts';
export type { SimulationInput } from './comfyui/script.ts';
export type { GpuSimulationInput } from './nvidia-smi/script.ts';
export type { OllamaSimulationInput } from './ollama/script.ts';

const program = (file: string) => fileURLToPath(new URL(`../dist/${file}`, import.meta.url));

/** Path of the simulated ComfyUI: start it with Node where `python main.py` would be started. */
export const comfyuiProgram = (): string => program('comfyui.js');

/** Path of the simulated Automatic1111: start it with Node where `python launch.py` would be started. */
export const a1111Program = (): string => program('a1111.js');

/** Path of the simulated Ollama: start it with Node where `ollama` would be started, e.g. with `serve`. */
export const ollamaProgram = (): string => program('ollama.js');

/** Path of the `nvidia-smi` stand-in; executable by itself. */
export const nvidiaSmiProgram = (): string => program('nvidia-smi.js');

/**
 * Files of a ComfyUI checkout, text by path, whose `main.py` imports torch as the real one does and then is the simulator:
 * for trying out what installs, updates and starts ComfyUI. Default requirements: the torch family.
 */
export const comfyuiCheckout = (options: { version?: string; requirements?: readonly string[] } = {}) =>
  checkoutFiles({ version: '0.26.0', ...options, program: comfyuiProgram() });

/** The same for Automatic1111, whose `launch.py` also wants its helper repositories at their commits. */
export const a1111Checkout = (options: { version?: string; requirements?: readonly string[] } = {}) =>
  a1111CheckoutFiles({ version: 'v1.10.1', requirements: ['torch'], ...options, program: a1111Program() });
