import type { IncidentSummary } from '@mgpu/control';
import { type BootReport, type Layout, latestBoot, type Survivor, survivorsOn, systemClock } from '@mgpu/core';
import { latestIncident, type QuarantinedGpu, quarantinedGpus } from '@mgpu/watchdog';
import { summaryOf } from '../overview.ts';
import { offlineText } from '../print/offline-view.ts';
import type { ViewOptions } from '../print/status-view.ts';

/** What is known of a machine whose daemon is not there. */
export interface OfflineReport {
  readonly root: string;
  /** What a dead daemon has left running. */
  readonly survivors: readonly Survivor[];
  readonly outOfService: readonly QuarantinedGpu[];
  readonly lastBoot?: BootReport;
  readonly lastIncident?: IncidentSummary;
}

export interface OfflineMachine {
  readonly report: OfflineReport;
  readonly text: (options: ViewOptions) => string;
}

/** Reads what a daemon leaves on disk; changes nothing. */
export async function offlineMachine(layout: Layout): Promise<OfflineMachine> {
  const [lastBoot, incident] = await Promise.all([latestBoot(layout.state), latestIncident(layout.state)]);
  const report = {
    root: layout.root,
    survivors: survivorsOn(layout, systemClock),
    outOfService: quarantinedGpus(layout.state),
    ...(lastBoot ? { lastBoot } : {}),
    ...(incident ? { lastIncident: summaryOf(incident) } : {}),
  };
  return { report, text: (options) => offlineText(report, options) };
}
