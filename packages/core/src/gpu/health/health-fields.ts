/** What is asked of each GPU, with the names it has had: the first that the driver knows is used. */
const wanted = {
  uuid: ['uuid'],
  bus: ['pci.bus_id'],
  memoryTotalMiB: ['memory.total'],
  memoryUsedMiB: ['memory.used'],
  temperatureC: ['temperature.gpu'],
  utilizationPercent: ['utilization.gpu'],
  powerW: ['power.draw'],
  powerLimitW: ['power.limit', 'enforced.power.limit'],
  eccUncorrected: ['ecc.errors.uncorrected.volatile.total'],
  remapPending: ['remapped_rows.pending'],
  remapFailed: ['remapped_rows.failure'],
  hwSlowdown: ['clocks_event_reasons.hw_slowdown', 'clocks_throttle_reasons.hw_slowdown'],
  hwThermalSlowdown: ['clocks_event_reasons.hw_thermal_slowdown', 'clocks_throttle_reasons.hw_thermal_slowdown'],
  hwPowerBrake: ['clocks_event_reasons.hw_power_brake_slowdown', 'clocks_throttle_reasons.hw_power_brake_slowdown'],
} as const;

export type HealthField = keyof typeof wanted;

/** A column to ask for: what it means to us, and its name for this driver. */
export interface HealthColumn {
  readonly field: HealthField;
  readonly name: string;
}

/** Every driver since 2014 knows these: what is asked when its list cannot be had. */
const basic: ReadonlySet<string> = new Set(['uuid', 'pci.bus_id', 'memory.total', 'memory.used', 'temperature.gpu']);

/** Which columns this driver has, from the text of `nvidia-smi --help-query-gpu`. Never throws. */
export function healthColumns(help: string): HealthColumn[] {
  const known = new Set([...help.matchAll(/"([a-z0-9_.]{1,80})"/g)].map(([, name]) => name));
  const has = (name: string) => (known.size === 0 ? basic.has(name) : known.has(name));
  return (Object.keys(wanted) as HealthField[]).flatMap((field) => {
    const name = wanted[field].find(has);
    return name === undefined ? [] : [{ field, name }];
  });
}
