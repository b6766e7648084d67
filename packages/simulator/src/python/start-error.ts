/** A start that fails as a Python program does: the message, if there is one, on stderr, exit 1. */
export class StartError extends Error {}
