/** Exit codes of every command. */
export const exitCodes = { done: 0, failed: 1, usage: 2, notRunning: 3, partly: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
