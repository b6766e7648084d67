/**
 * What a fault asks for. `record`: nothing. `restart`: its owner. `suspect`: its owner, and the GPU is counted against;
 * `unknown` counts without a restart. `drain`: let jobs end, then reset. `stop`: results cannot be trusted, stop now, then
 * reset. `quarantine`: hardware for a person to look at. `reboot`: the machine has to.
 */
export type XidAdvice = 'record' | 'restart' | 'suspect' | 'unknown' | 'drain' | 'stop' | 'quarantine' | 'reboot';

export interface XidFacts {
  readonly name: string;
  readonly advice: XidAdvice;
  /** What to do about it where the advice alone does not say. */
  readonly hint?: string;
  /** Queries of any GPU may hang after it: leave them for half a minute. */
  readonly pausesQueries?: true;
}

const rows: readonly (readonly [xids: readonly number[], facts: XidFacts])[] = [
  [
    [8, 11, 25, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80],
    { name: 'channel, copy engine or stream error', advice: 'suspect' },
  ],
  [[13], { name: 'graphics engine exception', advice: 'suspect' }],
  [[31], { name: 'MMU page fault', advice: 'suspect' }],
  [[43], { name: 'stopped processing', advice: 'restart' }],
  [[45], { name: 'preemptive cleanup', advice: 'record', hint: 'it follows another fault, or the end of its process' }],
  [[46, 62, 110, 136, 143, 155, 156, 158], { name: 'timeout or microcontroller halt', advice: 'drain' }],
  // The sources disagree: the first is taken for the application's, a repetition for the GPU's.
  [[109], { name: 'context switch timeout', advice: 'suspect' }],
  [[48, 171, 172], { name: 'double-bit ECC error', advice: 'stop' }],
  [[54], { name: 'auxiliary power missing', advice: 'quarantine', hint: "check the card's power cables" }],
  [[63], { name: 'row remap recorded', advice: 'record', hint: 'reset the GPU at the next idle time' }],
  [[64], { name: 'row remap failed', advice: 'quarantine', hint: 'the card needs to be replaced' }],
  [[74], { name: 'NVLink error', advice: 'record', hint: 'only services that span GPUs are touched' }],
  [[78], { name: 'vGPU start or firmware error', advice: 'quarantine', hint: 'update driver and firmware' }],
  [[79], { name: 'fallen off the bus', advice: 'reboot' }],
  [[92], { name: 'many single-bit ECC errors', advice: 'record' }],
  [[93], { name: 'InfoROM wear', advice: 'record' }],
  [[94], { name: 'contained memory error', advice: 'restart', hint: 'reset the GPU at the next idle time' }],
  [[95], { name: 'uncontained memory error', advice: 'stop' }],
  [[119, 120], { name: 'GSP timeout or error', advice: 'drain', pausesQueries: true }],
  [[121], { name: 'corrected C2C error', advice: 'record' }],
  [[137], { name: 'FLA privilege error', advice: 'suspect' }],
  [[140], { name: 'unrecovered ECC error', advice: 'stop' }],
  [[144, 145, 146, 147, 148, 149, 150], { name: 'NVLink 5 error', advice: 'record' }],
  [[151], { name: 'key rotation error', advice: 'reboot' }],
  [[154], { name: 'recovery action changed', advice: 'record' }],
];

const table: ReadonlyMap<number, XidFacts> = new Map(
  rows.flatMap(([xids, facts]) => xids.map((xid) => [xid, facts] as const)),
);

/** What is known of an Xid: supervision notes on NVIDIA's catalogue, gpud, DCGM and the Kubernetes device plugin. */
export const xidFacts = (xid: number): XidFacts => table.get(xid) ?? { name: 'unlisted fault', advice: 'unknown' };

/** The driver's own verdict, by the code in Xid 154; it outranks the table. */
export const recoveryAdvice = (code: number): XidFacts => {
  if (code === 0) return { name: 'no recovery needed', advice: 'record' };
  if (code === 1) return { name: 'GPU reset required', advice: 'drain' };
  if (code === 2) return { name: 'reboot required', advice: 'reboot' };
  if (code === 3)
    return { name: 'drain of peers required', advice: 'record', hint: 'only services that span GPUs are touched' };
  if (code === 4) return { name: 'drain and reset required', advice: 'drain' };
  return { name: `unlisted recovery action ${code}`, advice: 'drain' };
};
