import type { OfflineReport } from '../commands/status-without-daemon.ts';
import { incidentLine, type ViewOptions } from './status-view.ts';
import { table } from './table.ts';
import { age, clip, duration, marks, paragraph } from './text.ts';

/** What is left of a machine without a daemon, for people. */
export function offlineText(report: OfflineReport, options: ViewOptions): string {
  const { survivors, lastBoot, lastIncident, outOfService } = report;
  const { width, now } = options;
  const rows = survivors.map(({ instance, pid, ports, startedAt }) => [
    instance,
    String(pid),
    ports.join(', '),
    age(now - Date.parse(startedAt)),
  ]);
  const parts = [
    rows.length === 0
      ? 'nothing of this machine is running'
      : `these go on without a daemon; mgpu up takes them over, mgpu down ends them\n${table(['instance', 'pid', 'port', 'up'], rows)}`,
    ...(lastBoot
      ? [
          `last boot  ${age(now - Date.parse(lastBoot.startedAt))} ago: ${lastBoot.outcome}, ${duration(lastBoot.totalMs)}`,
        ]
      : ['it was never booted']),
    ...(lastIncident ? [incidentLine(lastIncident, options)] : []),
    ...outOfService.map(({ gpu, reason }) =>
      paragraph(`${marks.warning} `, clip(`${gpu} is out of service: ${reason}`, 300), width),
    ),
  ];
  return parts.join('\n');
}
