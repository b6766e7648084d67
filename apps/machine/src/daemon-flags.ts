/** A small nursery for new objects: a daemon waits most of the time, and has to leave the memory to the engines. */
export const daemonFlags = ['--max-semi-space-size=2'];
