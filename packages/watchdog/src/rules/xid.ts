import { recent } from './recent.ts';
import type { Action, Rule, Severity, Verdict } from './verdict.ts';
import { recoveryAdvice, type XidAdvice, type XidFacts, xidFacts } from './xid-table.ts';

/** One Xid of one GPU, with what the machine knows about it. Times are monotonic milliseconds. */
export interface XidSample {
  readonly at: number;
  /** UUID; the PCI bus id where that is not known. */
  readonly gpu: string;
  readonly xid: number;
  /** Whose process it hit: found by pid, else by who has the GPU. */
  readonly instance?: string | undefined;
  /** When we last sent SIGKILL to something on this GPU. */
  readonly killedAt?: number | undefined;
  readonly nvlinkFatal?: boolean | undefined;
  /** Code in Xid 154. */
  readonly recovery?: number | undefined;
  readonly line: string;
}

const hourMs = 3_600_000;
/** Milliseconds after our own kill in which its traces are expected. */
const consequenceMs = 10_000;
/** What one crash says comes within milliseconds of its first word. */
const sameFaultMs = 5_000;
const suspectLimit = 3;
const unknownLimit = 5;

const isConsequence = ({ at, xid, killedAt }: XidSample): boolean =>
  (xid === 43 || xid === 45) && killedAt !== undefined && at >= killedAt && at - killedAt <= consequenceMs;

/** What the kernel says of a GPU, by NVIDIA's codes. One GPU's events; those of our own kills are not counted. */
export const xid: Rule<XidSample> = (history) => {
  const last = history.at(-1);
  if (last === undefined) return [];
  if (isConsequence(last))
    return [verdictOn(last, { name: 'consequence of our own kill', advice: 'record' }, { severity: 'info' })];
  const facts = factsOf(last);
  const counted = recent(history, hourMs).filter((each) => !isConsequence(each));
  const suspicion = suspicionOf(counted, facts.advice);
  const repeated = last.xid === 109 && faultsIn(counted.filter((each) => each.xid === 109)).length > 1;
  const verdict = verdictOn(last, repeated ? { ...facts, advice: 'drain' } : facts);
  if (suspicion === undefined) return [verdict];
  return [
    ...(verdict.action === 'restart' ? [verdict] : []),
    {
      rule: 'xid',
      scope: 'gpu',
      subject: last.gpu,
      severity: 'error',
      action: 'drain-gpu',
      reason: `${last.gpu} had ${suspicion} in an hour, the last was Xid ${last.xid} (${facts.name})`,
      hint: 'the GPU itself is suspected: test it, and release it when it is well',
      evidence: counted.slice(-5).map(({ line }) => line),
    },
  ];
};

/** What the table says; Xid 154 is the driver's own verdict, on what it said before. */
function factsOf({ xid: number, recovery, nvlinkFatal }: XidSample): XidFacts {
  if (recovery !== undefined) return recoveryAdvice(recovery);
  const facts = xidFacts(number);
  return nvlinkFatal ? { ...facts, name: `fatal ${facts.name}`, advice: 'drain' } : facts;
}

/** The first of each: what one instance has within a few seconds is one fault. */
function faultsIn(samples: readonly XidSample[]): readonly XidSample[] {
  const faults: XidSample[] = [];
  for (const each of samples) {
    const former = faults.findLast(({ instance }) => instance === each.instance);
    if (!former || each.at - former.at > sameFaultMs) faults.push(each);
  }
  return faults;
}

/** Why the GPU rather than a service is to blame; undefined while it is not, or when this fault says more by itself. */
function suspicionOf(counted: readonly XidSample[], advice: XidAdvice): string | undefined {
  const of = (wanted: XidAdvice) => faultsIn(counted.filter((each) => xidFacts(each.xid).advice === wanted));
  if (advice === 'unknown' && of('unknown').length >= unknownLimit) return `${of('unknown').length} unlisted faults`;
  if (advice !== 'suspect') return undefined;
  const faults = of('suspect');
  const owners = new Set(faults.map(({ instance }) => instance).filter((each) => each !== undefined));
  if (owners.size > 1) return `faults of ${owners.size} services`;
  return faults.length >= suspectLimit ? `${faults.length} faults of one service` : undefined;
}

const consequences: Readonly<Record<XidAdvice, { action: Action; severity: Severity; hint: string }>> = {
  record: { action: 'record', severity: 'warning', hint: 'nothing needs to be done' },
  unknown: { action: 'record', severity: 'warning', hint: "look the number up in NVIDIA's Xid catalogue" },
  restart: { action: 'restart', severity: 'error', hint: 'the restart of its service clears it' },
  suspect: { action: 'restart', severity: 'error', hint: 'the restart of its service clears it' },
  drain: { action: 'drain-gpu', severity: 'error', hint: 'reset the GPU when it is idle: nvidia-smi --gpu-reset' },
  stop: { action: 'quarantine-gpu', severity: 'critical', hint: 'reset the GPU: nvidia-smi --gpu-reset' },
  quarantine: { action: 'quarantine-gpu', severity: 'critical', hint: 'the card needs to be looked at' },
  reboot: { action: 'quarantine-gpu', severity: 'critical', hint: 'reboot the machine' },
};

function verdictOn(last: XidSample, facts: XidFacts, more: { severity?: Severity } = {}): Verdict {
  const { action, severity, hint } = consequences[facts.advice];
  const owner = action === 'restart' ? last.instance : undefined;
  return {
    rule: 'xid',
    scope: owner === undefined ? 'gpu' : 'process',
    subject: owner ?? last.gpu,
    severity: more.severity ?? severity,
    // A fault of an application that nobody owns is nobody's to restart.
    action: action === 'restart' && owner === undefined ? 'record' : action,
    reason: `${last.gpu} reported Xid ${last.xid}: ${facts.name}`,
    hint: facts.hint ?? hint,
    evidence: [last.line],
  };
}
