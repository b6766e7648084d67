/** Name of the BullMQ queue of a job type. */
export const queueName = (type: string) => `mgpu-${type}`;

/** How a job is called outside its queue; ids of jobs that other BullMQ clients added fit in as well. */
export const publicId = (type: string, id: string) => `${type}.${id}`;

/** The parts of a public id; undefined for anything else. */
export function parseJobId(id: string): { type: string; id: string } | undefined {
  const [, type, own] = /^([a-z][a-z0-9-]{0,63})\.(.+)$/s.exec(id) ?? [];
  return type === undefined || own === undefined || isQueueKey(own) ? undefined : { type, id: own };
}

/** Last parts of the keys of a queue: a job of that name would lie where something else does. */
export const queueKeys: readonly string[] = [
  ...['active', 'wait', 'waiting-children', 'paused', 'id', 'delayed', 'prioritized', 'stalled-check', 'completed'],
  ...['failed', 'stalled', 'repeat', 'limiter', 'meta', 'events', 'pc', 'marker', 'de'],
];

export const isQueueKey = (id: string): boolean => queueKeys.includes(id);

/** Prefix of every key of a type's queue. */
export const keyBase = (prefix: string, type: string) => `${prefix}:${queueName(type)}:`;

/** Where requests to cancel a running job are published; the message is the job's id within its queue. */
export const cancelChannel = (prefix: string, type: string) => `${prefix}:cancel:${queueName(type)}`;

/** Where the previews of a job are published. */
export const previewChannel = (prefix: string, jobId: string) => `${prefix}:preview:${jobId}`;
