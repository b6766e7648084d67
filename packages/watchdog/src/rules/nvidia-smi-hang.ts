import type { GpuHealthSample } from '@mgpu/core';
import { machine, type Rule } from './verdict.ts';

/** Milliseconds after which a hang is no hiccup. */
const longMs = 60_000;
/** Milliseconds after its end for which a hang counts: one of last week says nothing about today. */
const relevantMs = 3_600_000;

/**
 * nvidia-smi does not answer: GPUs are not seen, the kernel's log is all there is. The second long time in an hour tells of
 * the driver.
 */
export const nvidiaSmiHang: Rule<GpuHealthSample> = (history) => {
  const last = history.at(-1);
  const hangs = last?.hangs.filter(({ until = last.at }) => last.at - until <= relevantMs) ?? [];
  const current = hangs.at(-1);
  if (last === undefined || current === undefined) return [];
  const long = hangs.filter(({ from, until = last.at }) => until - from >= longMs);
  const isOpen = current.until === undefined;
  const unhealthy = long.length >= 2;
  if (!isOpen && !unhealthy) return [];
  const seconds = Math.round(((current.until ?? last.at) - current.from) / 1_000);
  return [
    {
      rule: 'nvidia-smi-hang',
      scope: 'host',
      subject: machine,
      severity: unhealthy ? 'critical' : isOpen && long.length === 1 ? 'error' : 'warning',
      action: unhealthy ? 'stop-intake' : 'record',
      reason: unhealthy
        ? `nvidia-smi did not answer ${long.length} times for a minute and longer`
        : `nvidia-smi has not answered for ${seconds} s`,
      hint: unhealthy ? 'reboot the machine' : 'look into the kernel log; the driver may need a reboot',
      evidence: hangs.slice(-5).map(({ from, until }) => {
        return `${Math.round(((until ?? last.at) - from) / 1_000)} s${until === undefined ? ', still' : ''}`;
      }),
    },
  ];
};
