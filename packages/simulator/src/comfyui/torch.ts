import type { Options } from './options.ts';
import type { Simulation } from './script.ts';

// What PyTorch says of itself and of the device it has chosen.

export const torchVersion = ({ cpu }: Options): string => `2.13.0+${cpu ? 'cpu' : 'cu130'}`;

export const deviceName = ({ cpu }: Options, { gpu }: Simulation): string =>
  cpu ? 'cpu' : `cuda:0 ${gpu.name} : cudaMallocAsync`;
