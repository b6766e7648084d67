import * as z from 'zod/mini';

const count = () => z.int().check(z.minimum(0));

/** Faults of the `nvidia-smi` stand-in. */
export const gpuFaultsSchema = z.strictObject({
  /** Print nothing but a note on stderr, and never end. */
  hang: z.optional(z.boolean()),
  /** While hanging or slow. */
  ignoreTerm: z.optional(z.boolean()),
  /** Milliseconds before the answer. */
  slowMs: z.optional(z.number().check(z.minimum(0))),
  /** Exit 0 with something that is no table. */
  garbage: z.optional(z.boolean()),
  /** Exit 0 in the middle of the first line. */
  halfLine: z.optional(z.boolean()),
  /** Index of a GPU that fell off the bus; exit 15. */
  gpuLost: z.optional(count()),
  /** `Failed to initialize NVML: Unknown Error`, exit 255: what containers get after a daemon reload. */
  nvmlUnknownError: z.optional(z.boolean()),
  /** `Driver/library version mismatch`, exit 18: what an upgrade without a reboot gives. */
  driverMismatch: z.optional(z.boolean()),
  /** `none`: no device, exit 6. `driver`: no driver to talk to, exit 9. */
  noDevices: z.optional(z.enum(['none', 'driver'])),
  /** Leave out all GPUs from this index on. */
  onlyFirst: z.optional(count()),
  /** Every GPU says the UUID of the first. */
  duplicateUuid: z.optional(z.boolean()),
});

const gpu = z.strictObject({
  uuid: z.optional(z.string()),
  name: z.optional(z.string()),
  busId: z.optional(z.string()),
  memoryMiB: z.optional(count()),
  memoryUsedMiB: z.optional(count()),
  temperatureC: z.optional(count()),
  utilizationPercent: z.optional(count()),
  /** Uncorrected memory errors since the driver was loaded; a card with none of these three has no ECC. */
  eccUncorrected: z.optional(count()),
  remapPending: z.optional(z.boolean()),
  remapFailed: z.optional(z.boolean()),
  /** What slows its clocks. */
  slowdowns: z.optional(z.array(z.enum(['hw_slowdown', 'hw_thermal_slowdown', 'hw_power_brake_slowdown']))),
  /** Every other cell says this, as of a card that `GPU requires reset`. */
  unreadable: z.optional(z.string()),
});

/** What the environment variable MGPU_SIM_GPUS holds: JSON, or `@` and the path of a file with it, read at every call. */
export const gpuSimulationSchema = z
  .strictObject({
    count: z._default(count(), 1),
    name: z._default(z.string(), 'NVIDIA GeForce RTX 4090'),
    memoryMiB: z._default(count(), 24564),
    driver: z._default(z.string(), '580.95.05'),
    /** The names of fields that drivers before 535 have, and remapped rows in a table of their own. */
    oldFields: z._default(z.boolean(), false),
    seed: z._default(z.int(), 0),
    /** Differences of single GPUs, by position. */
    gpus: z._default(z.array(gpu), []),
    processes: z._default(
      z.array(
        z.strictObject({
          gpu: count(),
          pid: count(),
          name: z._default(z.string(), 'python'),
          memoryMiB: z._default(count(), 1024),
        }),
      ),
      [],
    ),
    faults: z._default(gpuFaultsSchema, {}),
  })
  .check(
    z.refine(
      ({ count, faults: { gpuLost, onlyFirst = count } }) =>
        gpuLost === undefined || gpuLost < Math.min(count, onlyFirst),
      { path: ['faults', 'gpuLost'], error: 'there is no such GPU' },
    ),
  );
export type GpuSimulation = z.output<typeof gpuSimulationSchema>;
/** As written, before defaults. */
export type GpuSimulationInput = z.input<typeof gpuSimulationSchema>;
