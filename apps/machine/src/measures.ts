import type { InstanceMeasures } from '@mgpu/control';
import {
  listProcesses,
  logEnd,
  type ProcessFacts,
  processTreeOf,
  residentBytes,
  type SupervisedInstance,
} from '@mgpu/core';

/** Counts what instances take and print; one reading of the process table serves all. */
export function measureInstances(instances: readonly SupervisedInstance[]): InstanceMeasures[] {
  const processes = listProcesses();
  return instances.map((instance) => {
    const { id, logFile, status } = instance;
    const work = instance.workTotals();
    return {
      id,
      ...(status.pid === undefined ? {} : { memoryBytes: memoryOf(status.pid, processes) }),
      ...(logFile === undefined ? {} : { logBytes: logEnd(logFile).offset }),
      ...(work === undefined ? {} : { work }),
    };
  });
}

const memoryOf = (pid: number, processes: readonly ProcessFacts[]) =>
  processTreeOf(pid, processes).reduce((sum, each) => sum + residentBytes(each.pid), 0);
