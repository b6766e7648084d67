import { fileURLToPath } from 'node:url';

export type { SimulationInput } from './comfyui/script.ts';
export type { GpuSimulationInput } from './nvidia-smi/script.ts';

const program = (file: string) => fileURLToPath(new URL(`../dist/${file}`, import.meta.url));

/** Path of the simulated ComfyUI: start it with Node where `python main.py` would be started. */
export const comfyuiProgram = (): string => program('comfyui.js');

/** Path of the `nvidia-smi` stand-in; executable by itself. */
export const nvidiaSmiProgram = (): string => program('nvidia-smi.js');
