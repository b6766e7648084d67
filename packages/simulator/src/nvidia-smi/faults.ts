import { simulatedGpus } from './gpus.ts';
import type { Answer } from './query.ts';
import type { GpuSimulation } from './script.ts';

const NO_DRIVER =
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n";

/** The answer that a fault puts in place of the right one. */
export function spoil(right: () => Answer, simulation: GpuSimulation): Answer {
  const { faults } = simulation;
  if (faults.noDevices === 'driver') return { code: 9, text: NO_DRIVER };
  if (faults.noDevices === 'none') return { code: 6, text: 'No devices were found\n' };
  if (faults.driverMismatch)
    return {
      code: 18,
      text: 'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n',
    };
  if (faults.nvmlUnknownError) return { code: 255, text: 'Failed to initialize NVML: Unknown Error\n' };
  if (faults.gpuLost !== undefined) {
    // Here the domain has four digits, in tables it has eight.
    const busId = simulatedGpus(simulation)[faults.gpuLost]?.busId.replace(/^0000(?=\w{4}:)/, '');
    return {
      code: 15,
      text: `Unable to determine the device handle for GPU ${busId}: GPU is lost.  Reboot the system to recover this GPU\n`,
    };
  }
  if (faults.garbage) return { code: 0, text: '\u0000\u001b[31m<<<< not a table >>>>\n????????, ~~, \u0007\n' };
  const answer = right();
  if (!faults.halfLine) return answer;
  const line = answer.text.split('\n', 1)[0] ?? '';
  return { code: 0, text: line.slice(0, line.length >> 1) };
}
